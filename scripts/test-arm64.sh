#!/bin/bash
# SPDX-License-Identifier: MIT
# The unit tests for arm64, under QEMU's user-mode emulation. Debian's cmocka for
# arm64 is unpacked into a folder of its own; the machine's packages stay as they
# are. A line each; the last line counts.
# usage: test-arm64.sh
set -euo pipefail

cd "$(dirname "$0")/.."
. scripts/common.sh
. scripts/suite.sh
if [ "$(uname -m)" = aarch64 ]; then
	say "test-arm64: this machine is one: make unit does it without emulation"
	exit 2
fi
scripts/setup.sh build test arm64
. /etc/os-release
root=$(cache_dir)/arm64-${VERSION_CODENAME:-debian}
build="build-check/arm64"

fetch()
{
	local apt
	apt=$(mktemp -d "$common_tmp/apt.XXXXXX")
	rm -rf "$root" "$root.part"
	scripts/apt-private.sh --arch arm64 "$apt" stable main update &&
		scripts/apt-private.sh --arch arm64 "$apt" stable main \
			unpack "$root.part" libcmocka-dev libcmocka0 &&
		mv "$root.part" "$root"
}

[ -d "$root" ] || step "test-arm64: fetching cmocka for arm64 (10 MB)" fetch || {
	step_show 5
	exit 1
}
lib=$root/usr/lib/aarch64-linux-gnu
mkdir -p build-check
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
	# Meson reads it once more whenever it regenerates.
	if [ ! -f $build/build.ninja ] || ! cmp -s "$common_tmp/cross" $build.cross; then
		rm -rf $build
		cp "$common_tmp/cross" $build.cross
		meson setup $build --cross-file $build.cross --werror \
			-Dbuildtype=debugoptimized -Dtests=enabled -Djson=disabled
	fi
}
step "test-arm64: setting up $build/" setup || {
	step_show 40
	exit 1
}

cat >"$common_tmp/left" <<'END'
headers
sandbox-doc
cpu-aarch64
cpu-riscv64
cpu: make test runs the same, as cpu-aarch64
cpu-sim: the routines of cpu again, in mapped memory; a minute
args: the emulator has no address 0 that is not there
fork: the emulator gives a child what MADV_DONTFORK keeps from it
gdrapi_life: the emulator gives a child what MADV_DONTFORK keeps from it
sim pin: the emulator gives a child what MADV_DONTFORK keeps from it
device_of: the emulator does not say whether an address can be read
two-sim: starts itself, which the emulator leaves to the kernel
sandbox-sim: traces system calls, which are the emulator's
END
suite_run arm64 $build "$common_tmp/left"
suite_end
