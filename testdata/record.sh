#!/bin/bash
# Records the captures of this folder: real clients and servers in two network namespaces that are
# joined by a veth pair. Run as root:
#
#   testdata/record.sh [NAME...]     NAME: dns http redis tls vlan ipv6 fragments jumbo (all by default)
#
# Everything runs in private mount, PID and network namespaces: nothing of it is seen outside, and
# all of it goes when this script goes, `kill -9` included. A capture replaces the committed one only
# after its checks hold.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
readonly V4=192.0.2 V6=2001:db8:7: # addresses that are reserved for documentation
readonly LIMIT_BYTES=2000000

die() { echo "record.sh: $*" >&2; exit 1; }

need() {
    [ "$(id -u)" = 0 ] || die "it makes network namespaces: run it as root"
    local tool missing=()
    for tool in ip tc ethtool ss ping tcpdump tshark editcap dig dnsmasq nginx curl openssl \
        redis-server redis-cli redis-benchmark python3 clang unshare; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    [ ${#missing[@]} = 0 ] || die "missing: ${missing[*]}; run: apt-get install iproute2 ethtool iputils-ping \
tcpdump tshark dnsutils dnsmasq-base nginx-light curl openssl redis-server redis-tools python3 clang util-linux"
}

need
if [ -z "${RECORD_INSIDE:-}" ]; then
    RECORD_INSIDE=1 exec unshare --mount --net --pid --fork --kill-child --mount-proc "$0" "$@"
fi

# --- namespaces and link ---------------------------------------------------------------------

mount -t tmpfs none /run # in the private mount namespace: names of namespaces, the key, the captures
readonly work=/run/record
mkdir "$work"
cd "$work"
pids=()

srv() { ip netns exec srv "$@"; }
cli() { ip netns exec cli "$@"; }
# To be run with `&`: `exec` makes $! the program's own pid, not that of a subshell around it.
srv_daemon() { exec ip netns exec srv "$@"; }
traffic() { python3 "$here/traffic.py" "$@"; }

# A fresh link with the given MTU; offloads off, so that each frame is one that a wire could carry.
link_up() {
    local mtu=$1 side
    ip netns del srv 2>/dev/null || true
    ip netns del cli 2>/dev/null || true
    ip netns add srv
    ip netns add cli
    ip link add srv0 address 02:00:5e:00:53:01 netns srv type veth \
        peer name cli0 address 02:00:5e:00:53:02 netns cli
    for side in srv cli; do
        ip netns exec $side ethtool -K ${side}0 tso off gso off gro off tx off rx off >/dev/null
        ip -n $side link set lo up
        ip -n $side link set ${side}0 mtu "$mtu"
    done
}

addresses() {
    local side n=0
    for side in srv cli; do
        n=$((n + 1))
        ip -n $side addr add $V4.$n/24 dev ${side}0
        ip -n $side addr add $V6:$n/64 dev ${side}0
        ip -n $side link set ${side}0 up
    done
    sleep 2.5 # duplicate address detection ends, so that sockets can bind to the addresses
}

# --- capture -----------------------------------------------------------------------------------

capture_pid=
capture_start() { # FILE micro|nano
    srv_daemon tcpdump -i srv0 -Z root -s 0 -U -n --immediate-mode -B 16384 --time-stamp-precision="$2" -w "$1" 2>"$1.log" &
    capture_pid=$!
    pids+=("$capture_pid")
    until grep -qs 'listening on' "$1.log"; do
        kill -0 "$capture_pid" 2>/dev/null || die "tcpdump does not start: $(cat "$1.log")"
        sleep 0.05
    done
}

capture_stop() { # FILE
    local size=-1
    until [ "$(stat -c %s "$1")" = "$size" ]; do # on a busy machine the recorder comes late
        size=$(stat -c %s "$1")
        sleep 1
    done
    kill "$capture_pid"
    wait "$capture_pid" || true
    awk '/packets captured/ { got = $1 } /received by filter/ { seen = $1 } /dropped by kernel/ { lost = $1 }
        END { exit !(got > 0 && got == seen && lost == "0") }' "$1.log" || die "$1: the recorder lost packets: $(cat "$1.log")"
}

# --- servers -----------------------------------------------------------------------------------

serve() { # PORT COMMAND... : starts it in the server's namespace and waits until it listens
    local port=$1 tries=100
    shift
    srv_daemon "$@" >>"$work/server.log" 2>&1 &
    pids+=($!)
    until srv ss -Hltun | grep -qE ":$port\\b"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || die "$1 does not listen on $port: $(tail -3 "$work/server.log")"
        sleep 0.05
    done
}

serve_web() {
    mkdir -p web
    traffic pages web
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=web.example \
        -keyout key.pem -out cert.pem 2>/dev/null
    cat >nginx.conf <<EOF
daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.log;
events {}
http {
    types { text/html html; text/plain txt; application/json json; }
    access_log off; server_tokens off; sendfile off; keepalive_timeout 30;
    server {
        listen $V4.1:80; listen [$V6:1]:80; listen $V4.1:443 ssl; listen [$V6:1]:443 ssl;
        ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        root $work/web;
    }
}
EOF
    serve 443 nginx -p "$work" -c "$work/nginx.conf" -e "$work/nginx.log"
}

get() { cli curl -sS --fail -k -o /dev/null "$@"; }

# --- subjects ----------------------------------------------------------------------------------

record_dns() {
    link_up 1500
    addresses
    { echo no-resolv; echo no-hosts; echo local=/example/; echo log-facility=-; traffic dnsmasq; } >dnsmasq.conf
    serve 53 dnsmasq --keep-in-foreground --conf-file=dnsmasq.conf --user=root --pid-file= --listen-address=$V4.1,$V6:1 --bind-interfaces
    traffic dns >questions
    capture_start dns.pcap micro
    cli dig @$V4.1 -f questions >/dev/null
    head -40 questions >some
    cli dig @$V6:1 -f some >/dev/null
    cli dig @$V4.1 +tcp +keepopen host003.example TXT host004.example A host005.example AAAA >/dev/null
    capture_stop dns.pcap
}

record_http() {
    link_up 1500
    addresses
    serve_web
    capture_start http.pcap micro
    get "http://$V4.1/page[0-23].html"  # one connection, kept alive
    get "http://$V4.1/large.txt"
    get "http://$V4.1/notes.json" --next -sS -o /dev/null -r 1000-2999 "http://$V4.1/medium.txt"
    cli curl -sS -I "http://$V4.1/page1.html" >/dev/null
    cli curl -sS "http://$V4.1/missing.html" >/dev/null
    get --http1.0 "http://$V4.1/page2.html"
    capture_stop http.pcap
    # A comment gives one packet block an option; the rest have none.
    editcap -F pcapng -a '1:first packet of the capture' http.pcap http.pcapng
}

record_redis() {
    link_up 1500
    addresses
    serve 6379 redis-server --port 6379 --bind $V4.1 --protected-mode no --save '' --appendonly no --dir "$work"
    traffic resp set >sets
    traffic resp get >gets
    capture_start redis.pcap nano
    cli redis-cli -h $V4.1 --pipe <sets >/dev/null
    cli redis-cli -h $V4.1 --pipe <gets >/dev/null
    # One command a connection; given on stdin instead, redis-cli would first fetch the server's manual.
    for n in 0007 0070 0123 0200; do cli redis-cli -h $V4.1 get "note:$n" >/dev/null; done
    printf 'a note that came by stdin' | cli redis-cli -h $V4.1 -x set note:stdin >/dev/null
    cli redis-benchmark -h $V4.1 -q -n 160 -c 2 -P 8 -d 100 -r 50 -t set,get,lpush,incr >/dev/null
    cli redis-cli -h $V4.1 mget note:0001 note:0002 note:0003 no:such:key >/dev/null
    capture_stop redis.pcap
}

record_tls() {
    link_up 1500
    addresses
    serve_web
    capture_start tls4.pcap micro
    get --tlsv1.3 "https://$V4.1/page[0-9].html"
    get --tlsv1.3 "https://$V4.1/large.txt"
    get --tls-max 1.2 "https://$V4.1/page3.html"
    capture_stop tls4.pcap
    capture_start tls6.pcap nano
    for n in 1 2 3 4; do
        printf 'GET /page%s.html HTTP/1.0\r\n\r\n' $n |
            cli openssl s_client -connect "[$V6:1]:443" -tls1_3 -quiet -ign_eof >/dev/null 2>&1 || true
    done
    get "https://[$V6:1]/medium.txt"
    capture_stop tls6.pcap
    # Two sections, as the format allows: the first in microseconds, the second in nanoseconds.
    editcap -F pcapng tls4.pcap tls4.pcapng
    editcap -F pcapng tls6.pcap tls6.pcapng
    cat tls4.pcapng tls6.pcapng >tls.pcapng
}

vlan_phase() { # PUSH POP : tags all traffic of the link that way, then makes some
    local side
    for side in srv cli; do
        ip netns exec $side tc qdisc replace dev ${side}0 clsact
        ip netns exec $side tc filter replace dev ${side}0 egress pref 1 handle 1 bpf da obj vlan.o sec "$1"
        ip netns exec $side tc filter replace dev ${side}0 ingress pref 1 handle 1 bpf da obj vlan.o sec "$2"
        ip -n $side neigh flush dev ${side}0
    done
    cli ping -q -c 4 -i 0.05 $V4.1 >/dev/null
    cli ping -q -c 2 -i 0.05 -s 1472 $V4.1 >/dev/null
    cli ping -q -c 4 -i 0.05 $V6:1 >/dev/null
    traffic_cli ask $V4.1 7007 plain 1 20 100 333 700 1000 1472
    traffic_cli ask $V4.1 7007 plain 3000
    traffic_cli ask $V6:1 7007 plain 64 900 1452
    get "http://$V4.1/page[0-4].html"
    get "http://$V4.1/medium.txt"
    get "http://[$V6:1]/page5.html"
}

traffic_cli() { cli python3 "$here/traffic.py" "$@"; }
answer() {
    serve 7007 python3 "$here/traffic.py" answer "$V4.1" 7007
    srv_daemon python3 "$here/traffic.py" answer "$V6:1" 7007 &
    pids+=($!)
    until srv ss -Hlun | grep -qF "[$V6:1]:7007"; do sleep 0.05; done
}

record_vlan() {
    link_up 1500
    addresses
    serve_web
    answer
    clang -O2 -g -target bpf -c "$here/vlan_tag.c" -o vlan.o
    capture_start vlan.pcap micro
    vlan_phase vlan10 pop1
    vlan_phase vlan20 pop1
    vlan_phase qinq pop2
    capture_stop vlan.pcap
}

record_ipv6() {
    link_up 1500
    ip -n srv link set srv0 up # the recorder sees duplicate address detection and MLD reports
    capture_start ipv6.pcap nano
    addresses
    serve_web
    answer
    cli ping -q -c 10 -i 0.05 $V6:1 >/dev/null
    ip -n srv neigh flush dev srv0
    ip -n cli neigh flush dev cli0
    srv ping -q -c 5 -i 0.05 -s 1000 $V6:2 >/dev/null
    cli ping -q -c 3 -i 0.05 -s 3000 $V6:1 >/dev/null
    traffic_cli ask $V6:1 7007 plain $(seq 1 37 1452)
    traffic_cli ask $V6:1 7007 hopopts 10 100 1000 1400
    traffic_cli ask $V6:1 7007 dstopts 10 100 1000 1400 2000
    traffic_cli ask $V6:1 7007 both 10 100 1000 1400 4000
    traffic_cli ask $V6:1 7008 plain 50 2>/dev/null || true # nobody listens: port unreachable
    get "http://[$V6:1]/page[0-11].html"
    get "http://[$V6:1]/medium.txt"
    capture_stop ipv6.pcap
}

record_fragments() {
    link_up 1500
    addresses
    answer
    local addr
    capture_start fragments.pcap micro
    for addr in $V4.1 $V6:1; do
        traffic_cli ask $addr 7007 plain 1473 1480 2952 2960 4096 6000 9000 12288 20480
    done
    traffic_cli ask $V4.1 7007 ipv4-options 100 1500 5000
    cli ping -q -c 3 -i 0.05 -s 4000 $V4.1 >/dev/null
    cli ping -q -c 2 -i 0.05 -s 2500 -R $V4.1 >/dev/null
    cli ping -q -c 3 -i 0.05 -s 4000 $V6:1 >/dev/null
    capture_stop fragments.pcap
}

record_jumbo() {
    link_up 9000
    addresses
    serve_web
    answer
    capture_start jumbo.pcap nano
    cli ping -q -c 2 -i 0.05 -M do -s 8972 $V4.1 >/dev/null
    traffic_cli ask $V4.1 7007 plain 64 1472 1473 4000 8191 8192 8971 8972
    traffic_cli ask $V6:1 7007 plain 64 1472 8000 8952
    get "http://$V4.1/large.txt"
    get "http://$V4.1/page[0-9].html"
    get "http://[$V6:1]/medium.txt"
    capture_stop jumbo.pcap
}

# --- checks ------------------------------------------------------------------------------------

# FILE FILTER [OPTION...] : the number of packets that match
matching() { tshark -r "$1" "${@:3}" -Y "$2" -T fields -e frame.number 2>/dev/null | wc -l; }

want() { # FILE MINIMUM FILTER
    local got
    got=$(matching "$1" "$3")
    [ "$got" -ge "$2" ] || die "$1: $got packets match '$3', at least $2 should"
}

whole() { # FILE LARGEST : full frames, none larger than LARGEST, every checksum right
    local bad
    [ "$(matching "$1" 'frame.cap_len != frame.len')" = 0 ] || die "$1: cut frames"
    [ "$(matching "$1" "frame.len > $2")" = 0 ] || die "$1: frames of more than $2 bytes"
    bad=$(tcpdump -nn -vv -r "$1" 2>/dev/null | grep -cE 'bad [a-z0-9 ]*cksum|incorrect ->|wrong icmp cksum' || true)
    [ "$bad" = 0 ] || die "$1: tcpdump finds $bad bad checksums"
    bad=$(matching "$1" 'ip.checksum.status==0 || tcp.checksum.status==0 || udp.checksum.status==0 || icmp.checksum.status==0 || icmpv6.checksum.status==0' \
        -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE)
    [ "$bad" = 0 ] || die "$1: tshark finds $bad bad checksums"
}

check_dns() {
    whole dns.pcap 1514
    want dns.pcap 350 'dns.flags.response==1'
    want dns.pcap 20 'dns.flags.rcode==3'
    for kind in 1 28 16 15; do want dns.pcap 10 "dns.qry.type==$kind && dns.flags.response==1"; done
    want dns.pcap 2 'tcp && dns'
    want dns.pcap 20 'ipv6 && dns'
}
check_http() {
    whole http.pcapng 1514
    want http.pcapng 28 'http.request'
    want http.pcapng 24 'http.response.code==200'
    want http.pcapng 1 'http.response.code==404'
    want http.pcapng 40 'frame.len==1514'
}
check_redis() {
    whole redis.pcap 1514
    want redis.pcap 200 'tcp.port==6379 && tcp.len>0'
    want redis.pcap 50 'frame.len==1514'
    [ "$(matching redis.pcap 'frame contains "complexity" || frame contains "O(1)"')" = 0 ] ||
        die "redis.pcap: holds the server's manual, which is not our text"
}
check_tls() {
    whole tls.pcapng 1514
    want tls.pcapng 5 'tls.handshake.type==1 && ipv6'
    want tls.pcapng 3 'tls.handshake.type==1 && ip'
    want tls.pcapng 5 'tls.handshake.extensions.supported_version==0x0304 && tls.handshake.type==2'
    want tls.pcapng 50 'frame.section_number==2'
}
check_vlan() {
    whole vlan.pcap 1522
    want vlan.pcap 40 'vlan.id==10'
    want vlan.pcap 40 'vlan.id==20 && vlan.priority==5'
    want vlan.pcap 40 'ieee8021ad.id==100 && vlan.id==30'
    want vlan.pcap 1 'frame.len==1522'
    want vlan.pcap 3 'arp && vlan'
    [ "$(matching vlan.pcap 'vlan || ieee8021ad')" = "$(matching vlan.pcap frame)" ] || die "vlan.pcap: untagged frames"
}
check_ipv6() {
    whole ipv6.pcap 1514
    want ipv6.pcap 4 'icmpv6.type==135'
    want ipv6.pcap 2 'icmpv6.type==136'
    want ipv6.pcap 2 'icmpv6.type==143'
    want ipv6.pcap 1 'icmpv6.type==1'
    want ipv6.pcap 8 'ipv6.hopopts && (udp || ipv6.fraghdr)'
    want ipv6.pcap 8 'ipv6.dstopts'
    want ipv6.pcap 10 'ipv6.fraghdr'
    want ipv6.pcap 40 'tcp'
}
check_fragments() {
    whole fragments.pcap 1514
    want fragments.pcap 40 'ip.frag_offset>0 && ip.src==192.0.2.1'
    want fragments.pcap 40 'ip.frag_offset>0 && ip.src==192.0.2.2'
    want fragments.pcap 40 'ipv6.fraghdr && ipv6.src==2001:db8:7::1'
    want fragments.pcap 40 'ipv6.fraghdr && ipv6.src==2001:db8:7::2'
    want fragments.pcap 4 'ip.hdr_len>20'
    want fragments.pcap 20 'udp.length>4000' # reassembled whole
}
check_jumbo() {
    whole jumbo.pcap 9014
    want jumbo.pcap 4 'frame.len==9014 && udp'
    want jumbo.pcap 8 'frame.len==9014 && tcp'
    want jumbo.pcap 2 'frame.len==9014 && ipv6'
}

# --- main --------------------------------------------------------------------------------------

stop_servers() {
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    pids=()
}

subjects=("$@")
[ ${#subjects[@]} -gt 0 ] || subjects=(dns http redis tls vlan ipv6 fragments jumbo)
for subject in "${subjects[@]}"; do
    declare -F "record_$subject" >/dev/null || die "no subject '$subject'"
    "record_$subject"
    stop_servers
    file=$(ls "$subject".pcapng 2>/dev/null || echo "$subject.pcap")
    "check_$subject"
    install -m 644 "$file" "$here/$file"
    packets=$(matching "$file" frame)
    bytes=$(stat -c %s "$file")
    sed -i -E "s/^\| \`$file\` \|[^|]*\|[^|]*\|/| \`$file\` | $packets | $bytes |/" "$here/README.md"
    echo "$file: $packets packets, $bytes bytes, checks hold"
done
total=$(cat "$here"/*.pcap "$here"/*.pcapng | wc -c)
[ "$total" -lt $LIMIT_BYTES ] || die "the captures are $total bytes, more than $LIMIT_BYTES"
echo "all captures: $total bytes"
