#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds gpumem.ko against NVIDIA's open driver, as Debian has it, in both
# flavours: warnings of the compiler or of modpost fail, and so do a GPL-only
# kernel symbol without GPUMEM_GPL and a symbol of the driver whose version is
# not the driver's. nvidia-driver.sh builds the driver for each kernel, once.
# usage: check-nvidia.sh [SUITE/KERNEL...]
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
[ $# -gt 0 ] || set -- bookworm/6.1 bookworm/6.12 trixie/6.12
failed=0
mkdir -p build-check || exit 1
trap 'exit 130' INT
trap 'exit 143' TERM

# versions_check KO SYMVERS: the versions in the module are the driver's.
versions_check()
{
	local used
	used=$(modprobe --dump-modversions "$1" | awk '$2 ~ /^nvidia_p2p_/ {print $1, $2}' | sort)
	[ "$(echo "$used" | wc -l)" -ge 5 ] || {
		echo "gpumem.ko names only: $used"
		return 1
	}
	comm -23 <(echo "$used") <(awk '{print $1, $2}' "$2" | sort) | grep . && {
		echo "these versions are not the driver's"
		return 1
	}
	return 0
}

# one SUITE KERNEL GPUMEM_GPL
one()
{
	local kernel driver out ko
	driver=$(scripts/nvidia-driver.sh "$1" "$2") || return 1
	kernel=$(tests/vm/kernel-fetch.sh "$2") || return 1
	echo "$driver" >"build-check/driver-$1-$2"
	out=build-check/gpumem-$1-$2-$3
	ko=$out/kernel/gpumem/gpumem.ko
	GPUMEM_OUT=$out W=1 GPUMEM_GPL=$3 scripts/module.sh "$kernel/build" "$driver" || return 1
	versions_check "$ko" "$driver/Module.symvers" || return 1
	[ "$3" = y ] || scripts/module-gpl.sh "$ko" "$kernel/build"
}

for pair; do
	for gpl in y n; do
		suite=${pair%/*} kernel=${pair#*/}
		name=nvidia-$suite-$kernel-gpl-$gpl
		log=build-check/$name.log
		if one "$suite" "$kernel" $gpl >"$log" 2>&1 &&
			! grep -E ': warning:|WARNING:|: error:' "$log"; then
			echo "ok     check/$name: driver $(cat "$(cat "build-check/driver-$suite-$kernel")/version")"
		else
			echo "not ok check/$name"
			tail -30 "$log" | sed 's/^/       /'
			failed=$((failed + 1))
		fi
	done
done
[ $failed = 0 ]
