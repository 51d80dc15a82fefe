#!/usr/bin/env bash
# One of everything.
set -euo pipefail
readonly HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
declare -A table=([a]=1 ["b c"]=$((2 ** 3 + x++)))
list=(one "two $HERE" 'three' $'four\n' {1..9..2} ~/*.sh)

function each() {
    local -r f=$1; shift
    for it in "$@"; do
        [[ $it =~ ^[a-z]+$ && -n ${it:-} ]] || continue
        "$f" "${it%%.*}" "${it//a/b}" "${#list[@]}" >>"log.$$" 2>&1 &
    done
    wait
}

usage() (
    cat <<-EOF | tr a-z A-Z
	usage: ${0##*/} $1 `date`
	EOF
    cat <<'RAW'
$not expanded
RAW
)

case "${1-}" in
    -h | --help) usage "x"; exit 0 ;;
    [0-9]*) ((n = $1 > 3 ? 1 : 2)) ;;&
    *) : ;;
esac

while IFS= read -r line; do
    if ! test -e "$line" -a "$line" != x; then
        echo "none: $line" >&2
    elif [ -d "$line" ]; then
        (cd "$line"; ls) | wc -l
    else
        until false; do break 2; done
    fi
done < <(find . -name '*.sh' -print0 | sort -z)

select choice in a b; do break; done
for ((i = 0; i < 3; i++)); do printf '%d\n' "$i"; done
unset -v table; trap 'rm -f "$tmp"' EXIT
diff <(each echo a) <(each echo b) <<<"here $list" || true
