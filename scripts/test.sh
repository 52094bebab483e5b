#!/bin/sh
# SPDX-License-Identifier: MIT
# Every test, a line each; the last line counts them. Where no test VM can boot its
# cases are left out, which counts as one skipped, with the reason.
# usage: test.sh BUILD [unit]
#   GPUMEM_VM  options for tests/vm/vm.py
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh
build=$1
what=${2:-all}
log=$common_tmp/test.log

# Its programs are this machine's.
case " ${GPUMEM_VM:-} " in
*' --arch'*)
	say "make test: it tests this machine: use make vm VM=\"$GPUMEM_VM\" for another"
	exit 2
	;;
esac
# Options that are wrong are told at once, where python3 is there already.
if [ "$what" = all ] && [ -n "${GPUMEM_VM:-}" ] && command -v python3 >/dev/null; then
	# shellcheck disable=SC2086 # words
	tests/vm/vm.py --check $GPUMEM_VM || exit 2
fi
vm=
if [ "$what" = all ] && vm_possible; then
	say "make test: unit tests on a simulated GPU (2 minutes), then every case in virtual machines (10 to 15)"
	if vm_prepare "${vm_kernels%% *}" build test; then
		vm=1
	else
		say "make test: without virtual machines: $vm_why"
		# Where these are missing too the reason has been told.
		scripts/setup.sh --have build test || exit 1
	fi
else
	say "make test: unit tests on a simulated GPU (2 minutes)"
	scripts/setup.sh build test
fi
# A folder that was set up without them shall find the tests' packages now.
scripts/build.sh "$build" -Dtests=enabled -Djson=enabled

# print_lines: prints each line of its input, above the ticker's.
print_lines()
{
	while IFS= read -r line; do
		[ -z "$common_ticker" ] || printf '\r\033[K' >&2
		printf '%s\n' "$line"
	done
}

# meson test prints a line a program; its log has the cases of each. Its limits are
# there for what hangs: on a busy machine all takes longer.
rc=0
: >"$log"
if [ -t 2 ]; then
	ticker $$ "$log" &
	common_ticker=$!
fi
mkfifo "$common_tmp/lines"
meson test -C "$build" --print-errorlogs --no-rebuild </dev/null >"$common_tmp/lines" 2>&1 &
meson_pid=$!
# At the first signal Meson would wait for the tests that run; at this one it ends them.
trap 'kill "$meson_pid" 2>/dev/null; say interrupted; exit 130' INT
tee "$log" <"$common_tmp/lines" | print_lines
wait "$meson_pid" || true
trap 'exit 130' INT
if [ -n "$common_ticker" ]; then
	kill "$common_ticker" 2>/dev/null || true
	common_ticker=
	printf '\r\033[K' >&2
fi
count() { sed -n "s/^$1: *\([0-9]*\).*/\1/p" "$log" | awk '{n += $1} END {print n + 0}'; }
passed=$(($(count Ok) + $(count 'Expected Fail')))
failed=$(($(count Fail) + $(count 'Unexpected Pass') + $(count Timeout)))
skipped=$(count Skipped)
[ "$(count Timeout)" = 0 ] ||
	echo "$(count Timeout) of them timed out: a program hung"
[ $((passed + failed)) -gt 0 ] || failed=1

if [ -n "$vm" ]; then
	# shellcheck disable=SC2086 # words
	tests/vm/vm.py --build "$build" ${GPUMEM_VM:-} | tee "$log"
	last=$(tail -n 1 "$log")
	case $last in
	*passed,*failed,*skipped)
		# shellcheck disable=SC2086
		set -- $last
		passed=$((passed + $1)) failed=$((failed + $3)) skipped=$((skipped + $5))
		;;
	*) failed=$((failed + 1)) ;;
	esac
elif [ "$what" = all ]; then
	echo "skip   vm: $vm_why"
	skipped=$((skipped + 1))
fi

[ "$failed" = 0 ] || rc=1
echo "$passed passed, $failed failed, $skipped skipped"
exit $rc
