#!/bin/bash
# SPDX-License-Identifier: MIT
# The unit tests for arm64, under QEMU's user-mode emulation. A line each; the last
# line counts.
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
build="build-check/arm64"
scripts/cross-arm64.sh $build >/dev/null

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
