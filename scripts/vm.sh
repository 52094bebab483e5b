#!/bin/sh
# SPDX-License-Identifier: MIT
# The VM alone. With --arch arm64 it is an arm64 machine, whose programs are built in
# build-check/arm64.
# usage: vm.sh BUILD [options for tests/vm/vm.py]
set -eu

cd "$(dirname "$0")/.."
build=$1
shift
arch=
case " $* " in
*' --arch arm64 '* | *' --arch=arm64 '*) arch=arm64 ;;
esac
tests/vm/kernel-fetch.sh ${arch:+--arch arm64} list >/dev/null
! command -v python3 >/dev/null || tests/vm/vm.py --check "$@"
if [ -n "$arch" ]; then
	# The emulator of programs: Meson asks for one.
	scripts/setup.sh build test arm64 vm-arm64
	build="build-check/arm64"
	scripts/cross-arm64.sh "$build" >/dev/null
else
	scripts/setup.sh build vm
fi
scripts/build.sh "$build"
exec tests/vm/vm.py --build "$build" "$@"
