#!/bin/sh
# SPDX-License-Identifier: MIT
# Fuzzes, with clang's libFuzzer, ASan and UBSan, what runs in user space: each
# target of tests/fuzz/user for a number of runs. A line each; the last line counts.
# usage: fuzz.sh [TARGET...]     plan, sys, doctor, gdrapi; all of them by default
#   FUZZ_RUNS  runs of each target (100000)
#   FUZZ_SEED  a number: the same inputs each time, and none kept. Otherwise
#              those that reach something new stay in build-sanitize/fuzz/
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh
. scripts/sanitize.sh
runs=${FUZZ_RUNS:-100000} seed=${FUZZ_SEED:-}
all="plan sys doctor gdrapi"
[ $# -gt 0 ] || eval "set -- $all"

for target; do
	case " $all " in
	*" $target "*) ;;
	*) say "fuzz: no target $target ($all)"; exit 2 ;;
	esac
done
case $runs$seed in
*[!0-9]*) say "fuzz: FUZZ_RUNS and FUZZ_SEED are numbers"; exit 2 ;;
esac
scripts/setup.sh build test sanitize
sanitize_build address tests/fuzz/user/fuzz-plan tests/fuzz/user/fuzz-sys \
	tests/fuzz/user/fuzz-doctor tests/fuzz/user/fuzz-gdrapi sim/libcuda.so.1
build=$(pwd)/build-sanitize/address
export GPUMEM_SIM_LIBCUDA="$build/sim/libcuda.so.1"

# Pins, maps, writes, reads, unmaps and unpins, in gdrapi.c's code.
gdrapi_seed()
{
	printf '\003\000\000\000\000\000\000\000\000\001\000'
	printf '\007\000\000\000\000\000\000'
	printf '\014\000\020\000\000\000\002\000\001'
	printf '\012\000\020\000\000\000\002\000\001'
	printf '\015\000\000\016\000\003'
	printf '\011\000\000\000\000\000\000\006\000\000\002\000'
}

passed=0 failed=0
for target; do
	folder=$(pwd)/build-sanitize/fuzz/$target
	mkdir -p "$folder"
	corpus=$folder/corpus
	[ -z "$seed" ] || corpus=$common_tmp/$target
	seeds=$(pwd)/tests/fuzz/user/corpus/$target
	dict='' length=2048
	[ "$target" != gdrapi ] || length=512
	[ ! -f "$seeds.dict" ] || dict=-dict=$seeds.dict
	mkdir -p "$corpus"
	if [ "$target" = gdrapi ]; then
		seeds=$common_tmp/seeds
		mkdir -p "$seeds"
		gdrapi_seed >"$seeds/all"
	fi
	start=$(date +%s)
	if step "fuzz: $target, $runs runs" env "$build/tests/fuzz/user/fuzz-$target" \
		-runs="$runs" ${seed:+-seed="$seed"} -max_len=$length \
		${dict:+"$dict"} -artifact_prefix="$folder/" "$corpus" "$seeds"; then
		edges=$(sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$step_log" | tail -n 1)
		echo "ok     fuzz/$target ($runs runs, $(($(date +%s) - start)) s, ${edges:-0} edges)"
		passed=$((passed + 1))
	else
		step_show 60
		cp "$step_log" "$folder/log"
		echo "not ok fuzz/$target"
		echo "       the input that did it is in $folder/: give it to $build/tests/fuzz/user/fuzz-$target"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
