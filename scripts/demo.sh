#!/bin/sh
# SPDX-License-Identifier: MIT
# The whole job on the best thing that this machine has: a GPU, the test machine
# with its emulated GPU and gpumem.ko, or the simulated GPU.
set -eu

cd "$(dirname "$0")/.."
build=$1

if [ -e /dev/nvidiactl ] || [ -e /proc/driver/nvidia/version ]; then
	echo "make demo: on this machine's NVIDIA GPU"
	scripts/setup.sh build
	scripts/build.sh "$build"
	exec "$build/tools/gpumem" demo
fi

if [ "$(uname -m)" = x86_64 ] && why=$(scripts/setup.sh build vm 2>&1); then
	echo "make demo: no NVIDIA GPU here: in a virtual machine, through gpumem.ko, on an emulated GPU"
	scripts/build.sh "$build"
	exec tests/vm/vm.py --build "$build" --kernel 6.1 --test show-demo --show
fi

echo "make demo: no NVIDIA GPU and no virtual machine here: on a simulated GPU in this process"
echo "$why" | sed 's/^/  /'
scripts/setup.sh build
scripts/build.sh "$build"
exec "$build/tools/gpumem" demo --backend sim
