#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds NVIDIA's open driver from Debian's package for a kernel of the test VM, once,
# and prints its folder in the cache: nvidia.ko (without debug information),
# Module.symvers, version, and the source that gpumem.ko builds against.
# The resource manager comes prebuilt (nv-kernel.o_binary, in the cache's folder
# SUITE): only the driver's interface to the kernel is compiled, 3 minutes of CPU
# time, into nvidia/nv-interface.o.
# usage: nvidia-driver.sh SUITE KERNEL [FOLDER]
#   SUITE: bookworm has driver 535, trixie 550; KERNEL: as kernel-fetch.sh knows it;
#   FOLDER: below which the driver's folder is, instead of the cache's
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
. scripts/common.sh
[ $# = 2 ] || [ $# = 3 ] || {
	sed -n '/^# usage/,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
	exit 2
}
suite=$1 kernel=$2
cache=$(cache_dir)/nvidia
below=${3:-$cache}
mkdir -p "$cache" "$below" build-check || exit 1
source=$cache/$suite

# answer: prints the driver's folder and ends, if it is built.
answer()
{
	folder=$(tests/vm/kernel-fetch.sh "$kernel") || exit 1
	release=$(cat "$folder/release")
	kdir=$(readlink -f "$folder/build")
	out=$below/$suite-$release
	[ -f "$out/nvidia.ko" ] && [ -f "$out/Module.symvers" ] || return 0
	echo "$out"
	exit 0
}

[ ! -f "$source/nvidia/nv-p2p.h" ] || answer
# The folder itself is what is locked.
exec 9<"$cache" || exit 1
flock -n 9 || {
	echo "nvidia-driver: waiting for another run that builds a driver" >&2
	flock 9
}
work=$(mktemp -d "$below/work.XXXXXX") || exit 1
trap 'rm -rf "$work"; common_end' EXIT

# source_fetch: unpacks the driver's source into the cache.
source_fetch()
{
	local src=$work/source/modules/nvidia-open-kernel
	mkdir "$work/source" &&
		scripts/apt-private.sh "$work/source/apt" "$suite" contrib update >&2 &&
		scripts/apt-private.sh "$work/source/apt" "$suite" contrib unpack "$work/source" \
			nvidia-open-kernel-source >&2 &&
		tar -C "$work/source" -xf "$work/source/usr/src/nvidia-open-kernel.tar.xz" || return 1
	zcat "$work"/source/usr/share/doc/nvidia-open-kernel-source/changelog.Debian.gz |
		sed -n '1s/.*(\([^)]*\)).*/\1/p' >"$src/version"
	mv -T "$src" "$source"
}

if [ ! -f "$source/nvidia/nv-p2p.h" ]; then
	source_fetch || exit 1
fi
answer
log=$PWD/build-check/driver-$suite-$release.log
echo "nvidia-driver: building the driver of $suite for $release (minutes, once)" >&2
cp -r "$source" "$work/build" || exit 1
# Debian's headers have two halves; the driver wants to know both.
if ! nice make -C "$work/build" -j"$(nproc)" SYSSRC="${kdir%-*}-common" SYSOUT="$kdir" \
	NV_KERNEL_MODULES=nvidia modules >"$log" 2>&1 ||
	! grep -q nvidia_p2p_get_pages "$work/build/Module.symvers"; then
	tail -20 "$log" >&2
	echo "nvidia-driver: the driver does not build for $release; its log is $log" >&2
	exit 1
fi
strip --strip-debug "$work/build/nvidia.ko" "$work/build/nvidia/nv-interface.o" || exit 1
find "$work/build" \( -name '*.o' -o -name '*.o_binary' \) ! -name nv-interface.o -delete
rm -rf "$out"
mv -T "$work/build" "$out" || exit 1
echo "$out"
