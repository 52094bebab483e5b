#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds kernel/gpumem/gpumem.ko: module.sh KERNEL_BUILD_FOLDER NVIDIA_SOURCE
#
# NVIDIA_SOURCE is the folder of the NVIDIA driver's kernel modules (where
# nvidia/nv-p2p.h lies, at any depth). Where that driver was built there, its
# Module.symvers gives the versions of its symbols; otherwise their names are
# read from its source, which is enough to link but leaves the versions to the
# loader.
set -eu

cd "$(dirname "$0")/.."
kdir=$1
src=$2

[ -n "$src" ] || {
	echo "module: say where the NVIDIA driver's source is: make module NVIDIA_SRC=/usr/src/nvidia-..." >&2
	exit 2
}
[ -f "$kdir/Makefile" ] || {
	echo "module: $kdir is no kernel build folder; install linux-headers-$(uname -r), or set KDIR" >&2
	exit 2
}
header=$(find -L "$src" -name nv-p2p.h -path '*nvidia/*' 2>/dev/null | sort | head -1)
[ -n "$header" ] || {
	echo "module: no nvidia/nv-p2p.h below $src; is that the driver's source?" >&2
	exit 2
}
nvdir=$(cd "$(dirname "$header")" && pwd)
symvers=
for f in "$src/Module.symvers" "$nvdir/../Module.symvers" "$nvdir/Module.symvers"; do
	if [ -f "$f" ] && grep -q nvidia_p2p_get_pages "$f"; then
		symvers=$(cd "$(dirname "$f")" && pwd)/Module.symvers
		break
	fi
done
out=kernel/gpumem
if [ -z "$symvers" ]; then
	symvers=$(pwd)/$out/nvidia.symvers
	sed -n 's/^ *\(NV_\)\{0,1\}EXPORT_SYMBOL(\(nvidia_p2p_[a-z_]*\)).*/0x00000000\t\2\tnvidia\tEXPORT_SYMBOL\t/p' \
		"$nvdir"/nv-p2p.c | sort -u >"$symvers"
	echo "module: $src was not built: symbol names from its source, without their versions" >&2
fi
make -C "$kdir" M="$(pwd)/$out" NV_P2P_DIR="$nvdir" KBUILD_EXTRA_SYMBOLS="$symvers" modules
echo "module: $out/gpumem.ko"
