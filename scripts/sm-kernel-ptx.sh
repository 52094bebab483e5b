#!/bin/sh
# SPDX-License-Identifier: MIT
# Compiles lib/copy/sm/kernel.cu to lib/copy/sm/kernel.ptx, which is committed: who builds the
# library needs no compiler for GPUs. The text depends on the compiler, so only
# clang 14 will do.
#
#   scripts/sm-kernel-ptx.sh           write lib/copy/sm/kernel.ptx
#   scripts/sm-kernel-ptx.sh --check   compare; assemble it for all GPUs from
#                                    sm_75 on where CUDA's ptxas is here
set -eu

cd "$(dirname "$0")/.."
clang=
for name in clang-14 clang; do
	if "$name" --version 2>/dev/null | grep -q 'version 14\.'; then
		clang=$name
		break
	fi
done
[ -n "$clang" ] || {
	echo "$0: no clang 14 here; install the package clang-14" >&2
	exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$clang" -x cuda --cuda-device-only --cuda-gpu-arch=sm_70 -nocudainc \
	-nocudalib --cuda-path=/nonexistent -Wno-unknown-cuda-version \
	-Xclang -target-feature -Xclang +ptx60 \
	-O2 -Wall -Wextra -Werror -I. -S -o "$work/out" lib/copy/sm/kernel.cu
{
	head -n 1 lib/copy/sm/kernel.cu # its licence
	echo '// Made from kernel.cu by scripts/sm-kernel-ptx.sh; do not edit.'
	cat "$work/out"
} >"$work/kernel.ptx"

if [ "${1:-}" != --check ]; then
	cp "$work/kernel.ptx" lib/copy/sm/kernel.ptx
	exit
fi
diff -u lib/copy/sm/kernel.ptx "$work/kernel.ptx" || {
	echo "$0: lib/copy/sm/kernel.ptx is not what lib/copy/sm/kernel.cu gives; run $0" >&2
	exit 1
}

ptxas=$(command -v ptxas || echo /usr/local/cuda/bin/ptxas)
[ -x "$ptxas" ] || {
	echo "no ptxas here: kernel.ptx was not assembled"
	exit
}
for arch in $("$ptxas" --help | grep -o 'sm_[0-9][0-9]*' | sort -u -V); do
	[ "${arch#sm_}" -ge 75 ] || continue
	echo "$arch"
	"$ptxas" --verbose --warning-as-error --gpu-name "$arch" \
		-o "$work/cubin" lib/copy/sm/kernel.ptx
done
