#!/bin/bash
# SPDX-License-Identifier: MIT
# The unit tests under clang's ASan and UBSan, those with threads under TSan, and a
# few thousand runs of each target of libFuzzer. A line each; the last line counts.
# usage: test-sanitize.sh [address|thread|fuzz]...
set -euo pipefail

cd "$(dirname "$0")/.."
. scripts/common.sh
. scripts/sanitize.sh
. scripts/suite.sh
[ $# -gt 0 ] || set -- address thread fuzz
for what; do
	case $what in
	address | thread | fuzz) ;;
	*) say "test-sanitize: no part $what (address, thread, fuzz)"; exit 2 ;;
	esac
done

# left_out KIND: what is not run, and why; without a reason: what looks at files.
left_out()
{
	cat <<-END
	headers
	symbols
	tls
	gdrapi-symbols
	sandbox-doc
	cpu-aarch64
	cpu-riscv64
	nomem: takes malloc()'s place, as the sanitizers do
	cancel: the sanitizers take the stack of a cancelled thread for spoilt
	sandbox-sim: the sanitizers make system calls that its filter forbids
	cpu-sim: the routines of cpu again, in mapped memory; a minute
	END
	[ "$1" = address ] || cat <<-END
	cpu: has one thread; minutes
	lacking: has one thread; takes dlsym()'s place, which TSan calls before it is ready
	two-sim: its threads do what those of thread and storm-sim do; a minute
	END
}

# Where addresses are random TSan of clang 14 may not find room for its own.
plain=()
! setarch "$(uname -m)" -R true 2>/dev/null || plain=(setarch "$(uname -m)" -R)

scripts/setup.sh build test sanitize
for what; do
	if [ "$what" = fuzz ]; then
		FUZZ_RUNS=${FUZZ_RUNS:-5000} FUZZ_SEED=${FUZZ_SEED:-1} scripts/fuzz.sh |
			tee "$common_tmp/fuzz" | sed '$d' || true
		read -r good _ bad _ < <(tail -n 1 "$common_tmp/fuzz") || true
		passed=$((passed + ${good:-0})) failed=$((failed + ${bad:-1}))
		continue
	fi
	left_out "$what" >"$common_tmp/left"
	sanitize_prepare "$what"
	suite_run "sanitize/$what" "build-sanitize/$what" "$common_tmp/left" "${plain[@]}"
done
suite_end
