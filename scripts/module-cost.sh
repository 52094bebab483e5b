#!/bin/bash
# SPDX-License-Identifier: MIT
# Compares the time of gpumem.ko's calls with that of an older commit's module: pin, DMA
# map and export, each with its end, in one VM, in blocks that alternate. Prints a row
# for each: microseconds before and now, and the ratio, median (least..most). The VM's
# clock counts instructions, so that what else the machine does makes no difference.
# usage: module-cost.sh BUILD COMMIT [KERNEL]
set -euo pipefail

cd "$(dirname "$0")/.."
[ $# = 2 ] || [ $# = 3 ] || {
	sed -n '/^# usage/s/^# //p' "$0" >&2
	exit 2
}
build=$(readlink -f "$1") commit=$2 kernel=${3:-6.1}
work=$build/vm/cost-$kernel

folder=$(tests/vm/kernel-fetch.sh "$kernel")
tests/vm/vm.py --build "$build" --kernel "$kernel" --modules-only >/dev/null
emu=$build/vm/$kernel/src/tests/emu
rm -rf "$work"
mkdir -p "$work"
git archive "$commit" kernel uapi | tar -x -C "$work"
make -C "$folder/build" "M=$work/kernel/gpumem" "NV_P2P_DIR=$emu" \
	"KBUILD_EXTRA_SYMBOLS=$emu/Module.symvers" modules >"$work/log" 2>&1 || {
	tail -20 "$work/log" >&2
	echo "module-cost: the module of $commit does not build for $kernel; try a later commit" >&2
	exit 1
}
cp "$work/kernel/gpumem/gpumem.ko" "$work/before.ko"
exec tests/vm/vm.py --build "$build" --kernel "$kernel" --test show-bulk-cost --show \
	--file "$work/before.ko"
