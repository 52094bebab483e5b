#!/bin/sh
# SPDX-License-Identifier: MIT
# gpumem.ko beside NVIDIA's own driver in the test VM, where no GPU is: the cases of
# tests/driver, with Debian's drivers 535 and 550 on each kernel. The first run builds
# the drivers (3 minutes of CPU time for each kernel); the cache keeps them. With
# --hybrid tests/emu is in the place of the driver's resource manager, and the cases are
# those of tests/vm, with driver 550.
# usage: test-driver.sh BUILD [options for tests/vm/vm.py]
set -eu

cd "$(dirname "$0")/.."
build=$1
shift
kernels=$(tests/vm/kernel-fetch.sh list)
scripts/setup.sh build vm kernel
scripts/build.sh "$build"
case " $* " in
*' --kernel '*) ;;
*)
	# shellcheck disable=SC2046 # words
	set -- $(echo "$kernels" | awk '$2 == "required" {print "--kernel", $1}') "$@"
	;;
esac
case " $* " in
*' --driver '*) ;;
*' --hybrid '*) set -- --driver trixie "$@" ;;
*) set -- --driver bookworm --driver trixie "$@" ;;
esac
exec tests/vm/vm.py --build "$build" "$@"
