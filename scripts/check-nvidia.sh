#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds gpumem.ko against NVIDIA's open driver, as Debian has it, in both
# flavours: warnings of the compiler or of modpost fail, and so do a GPL-only
# kernel symbol without GPUMEM_GPL and a symbol of the driver whose version is
# not the driver's. The driver itself is built for each kernel (minutes, once;
# the cache keeps its source and the versions of its symbols).
# usage: check-nvidia.sh [SUITE/KERNEL...]
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
cache=${GPUMEM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gpumem}
[ $# -gt 0 ] || set -- bookworm/6.1 bookworm/6.12 trixie/6.12
failed=0
mkdir -p "$cache/nvidia" build-check || exit 1
work=$(mktemp -d "$cache/nvidia/work.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# driver_source SUITE: fetches the driver's source and prints its folder.
driver_source()
{
	local out=$cache/nvidia/$1 tmp=$work/source-$1 src
	[ -f "$out/nvidia/nv-p2p.h" ] && { echo "$out"; return 0; }
	src=$tmp/modules/nvidia-open-kernel
	rm -rf "$tmp"
	mkdir "$tmp" &&
		scripts/apt-private.sh "$tmp/apt" "$1" contrib update >&2 &&
		scripts/apt-private.sh "$tmp/apt" "$1" contrib unpack "$tmp" \
			nvidia-open-kernel-source >&2 &&
		tar -C "$tmp" -xf "$tmp/usr/src/nvidia-open-kernel.tar.xz" || return 1
	zcat "$tmp"/usr/share/doc/nvidia-open-kernel-source/changelog.Debian.gz |
		sed -n '1s/.*(\([^)]*\)).*/\1/p' >"$src/version"
	mv -T "$src" "$out" || return 1
	echo "$out"
}

# driver_build SOURCE KDIR RELEASE: builds nvidia.ko and prints the folder with
# its Module.symvers.
driver_build()
{
	local out=$1-$3 tmp=$work/build-$3 common log
	[ -f "$out/Module.symvers" ] && { echo "$out"; return 0; }
	log=$PWD/build-check/driver-${1##*/}-$3.log
	echo "check-nvidia: building the driver for $3 (minutes, once)" >&2
	rm -rf "$tmp"
	cp -r "$1" "$tmp" || return 1
	# Debian's headers have two halves; the driver wants to know both.
	common=$(readlink -f "$2")
	common=${common%-*}-common
	if ! nice make -C "$tmp" -j"$(nproc)" SYSSRC="$common" SYSOUT="$(readlink -f "$2")" \
		NV_KERNEL_MODULES=nvidia modules >"$log" 2>&1 ||
		! grep -q nvidia_p2p_get_pages "$tmp/Module.symvers"; then
		tail -20 "$log" >&2
		echo "check-nvidia: the driver does not build for $3; its log is $log" >&2
		return 1
	fi
	find "$tmp" \( -name '*.o' -o -name '*.ko' -o -name '*.o_binary' \) -delete
	mv -T "$tmp" "$out" || return 1
	echo "$out"
}

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
	local src kernel release driver out ko
	src=$(driver_source "$1") && kernel=$(tests/vm/kernel-fetch.sh "$2") || return 1
	release=$(cat "$kernel/release")
	driver=$(driver_build "$src" "$kernel/build" "$release") || return 1
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
			echo "ok     check/$name: driver $(cat "$cache/nvidia/$suite/version")"
		else
			echo "not ok check/$name"
			tail -30 "$log" | sed 's/^/       /'
			failed=$((failed + 1))
		fi
	done
done
[ $failed = 0 ]
