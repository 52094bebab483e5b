#!/bin/sh
# SPDX-License-Identifier: MIT
# Every case of the test machine on the debug kernel, with the fuzzer and every
# allocation failing once. The first run builds the kernel (several minutes).
# usage: test-debug.sh BUILD [short]
#   short: a small selection, and only if the kernel was built before
set -eu

cd "$(dirname "$0")/.."
build=$1
cases=
if [ "${2:-}" = short ]; then
	tests/vm/kernel-build.sh debug --cached >/dev/null || {
		echo "skip   vm/debug: its kernel is not built (make test-debug builds it)"
		echo "0 passed, 0 failed, 1 skipped"
		exit 0
	}
	for name in abi-structs dma-revoke dmabuf-revoke fail-nth races revoke-many storm-revoke; do
		[ ! -f "tests/vm/cases/$name.sh" ] || cases="$cases --test $name"
	done
fi
scripts/setup.sh build vm
scripts/build.sh "$build"
# shellcheck disable=SC2086
exec tests/vm/vm.py --build "$build" --kernel debug $cases
