#!/bin/sh
# Compiles the XDP program into the object given as the first argument, by default the
# committed one. The same clang gives the same bytes in any folder: line information goes and
# paths are relative; type information (BTF) stays, since the loaders need it.
set -eu
out=$(realpath "${1:-$(dirname "$0")/pfs_xdp.bpf.o}")
cd "$(dirname "$0")"
"${CLANG:-clang}" -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror \
	-fdebug-prefix-map="$PWD"=. -idirafter "/usr/include/$(uname -m)-linux-gnu" \
	-c pfs_xdp.bpf.c -o "$out"
"${LLVM_STRIP:-llvm-strip}" -g "$out"
