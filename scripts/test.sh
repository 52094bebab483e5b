#!/bin/sh
# SPDX-License-Identifier: MIT
# Every test, a line each; the last line counts them.
# usage: test.sh BUILD [unit]
set -eu

cd "$(dirname "$0")/.."
build=$1
what=${2:-all}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

scripts/setup.sh build test
# A folder that was set up without them shall find the tests' packages now.
scripts/build.sh "$build" -Dtests=enabled -Djson=enabled

# meson test prints a line a program; its log has the cases of each.
rc=0
meson test -C "$build" --print-errorlogs --no-rebuild 2>&1 | tee "$log" || true
count() { sed -n "s/^$1: *\([0-9]*\).*/\1/p" "$log" | awk '{n += $1} END {print n + 0}'; }
passed=$(($(count Ok) + $(count 'Expected Fail')))
failed=$(($(count Fail) + $(count 'Unexpected Pass') + $(count Timeout)))
skipped=$(count Skipped)
[ $((passed + failed)) -gt 0 ] || failed=1

if [ "$what" = all ]; then
	scripts/setup.sh vm
	# The kernels at once: most of a machine's time is one core's.
	for kernel in 6.1 6.12; do
		# shellcheck disable=SC2086
		tests/vm/vm.py --build "$build" --kernel $kernel ${VM:-} >"$log.$kernel" 2>&1 &
	done
	wait
	for kernel in 6.1 6.12; do
		cat "$log.$kernel"
		last=$(tail -n 1 "$log.$kernel")
		rm -f "$log.$kernel"
		case $last in
		*passed,*failed,*skipped)
			# shellcheck disable=SC2086
			set -- $last
			passed=$((passed + $1)) failed=$((failed + $3)) skipped=$((skipped + $5))
			;;
		*) failed=$((failed + 1)) ;;
		esac
	done
fi

[ "$failed" = 0 ] || rc=1
echo "$passed passed, $failed failed, $skipped skipped"
exit $rc
