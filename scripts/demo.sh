#!/bin/sh
# SPDX-License-Identifier: MIT
# The whole job on the best thing that this machine has: a GPU, the test VM with
# its emulated GPU and gpumem.ko, or the simulated GPU. The first line says which.
# usage: demo.sh BUILD
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh
build=$1

if [ -e /dev/nvidiactl ] || [ -e /proc/driver/nvidia/version ]; then
	say "make demo: on this machine's NVIDIA GPU"
	scripts/setup.sh build
	scripts/build.sh "$build"
	"$build/tools/gpumem" demo
	exit
fi

if vm_possible; then
	say "make demo: no NVIDIA GPU here: in a virtual machine, through gpumem.ko, on an emulated GPU"
	kernel=${vm_kernels%% *}
	if vm_prepare "$kernel" build; then
		scripts/build.sh "$build"
		rc=0
		tests/vm/vm.py --build "$build" --kernel "$kernel" --test show-demo --show || rc=$?
		[ $rc = 3 ] || exit $rc
		vm_why="the virtual machine does not boot (above: why)"
	fi
	# Where these packages are missing too the reason has been told.
	scripts/setup.sh --have build || exit 1
	say "make demo: on a simulated GPU in this process instead: $vm_why"
else
	say "make demo: no NVIDIA GPU here: on a simulated GPU in this process, not in a virtual machine: $vm_why"
	scripts/setup.sh build
fi
scripts/build.sh "$build"
"$build/tools/gpumem" demo --backend sim
