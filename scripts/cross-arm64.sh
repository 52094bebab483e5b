#!/bin/bash
# SPDX-License-Identifier: MIT
# Sets up a Meson build folder for arm64 and prints the folder of what Debian has for
# arm64 that its programs and the VM need, unpacked in the cache: the machine's own
# packages stay as they are.
# usage: cross-arm64.sh BUILD
set -euo pipefail

build=${1:?usage: cross-arm64.sh BUILD}
cd "$(dirname "$0")/.."
. scripts/common.sh
. /etc/os-release
packages="libcmocka-dev libcmocka0 libjson-c-dev libjson-c5 busybox-static util-linux libcap-ng0"
root=$(cache_dir)/arm64-${VERSION_CODENAME:-debian}

fetch()
{
	local apt
	apt=$(mktemp -d "$common_tmp/apt.XXXXXX")
	rm -rf "$root" "$root.part"
	# shellcheck disable=SC2086 # words
	scripts/apt-private.sh --arch arm64 "$apt" stable main update &&
		scripts/apt-private.sh --arch arm64 "$apt" stable main unpack "$root.part" $packages &&
		echo "$packages" >"$root.part/packages" &&
		mv "$root.part" "$root"
}

mkdir -p "$(dirname "$root")" "$(dirname "$build")"
exec 8>"$root.lock"
flock 8
[ "$(cat "$root/packages" 2>/dev/null)" = "$packages" ] ||
	step "arm64: fetching libraries and tools (10 MB)" fetch || {
	step_show 5
	exit 1
}
lib=$root/usr/lib/aarch64-linux-gnu
cat >"$common_tmp/cross" <<END
[binaries]
c = 'aarch64-linux-gnu-gcc'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu', '-E', 'LD_LIBRARY_PATH=$lib']

[properties]
sys_root = '$root'
pkg_config_libdir = '$lib/pkgconfig'

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
END
setup()
{
	rm -rf "$build"
	cp "$common_tmp/cross" "$build.cross"
	meson setup "$build" --cross-file "$build.cross" --werror \
		-Dbuildtype=debugoptimized -Dtests=enabled -Djson=enabled
}
# Meson reads it once more whenever it regenerates.
if [ ! -f "$build/build.ninja" ] || ! cmp -s "$common_tmp/cross" "$build.cross"; then
	step "arm64: setting up $build/" setup || {
		step_show 40
		exit 1
	}
fi
echo "$root"
