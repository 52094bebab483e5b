#!/bin/sh
# SPDX-License-Identifier: MIT
# Fuzzes the kernel module in test machines, boot after boot, each with a seed of
# its own, until it has done so many operations or a machine found something.
# usage: fuzz-kernel.sh BUILD
# Environment:
#   GPUMEM_FUZZ_OPS=10000000   operations in all
#   GPUMEM_FUZZ_STEP=500000    operations a boot
#   GPUMEM_FUZZ_JOBS=1         machines at a time
#   GPUMEM_FUZZ_KERNEL=debug   6.1, 6.12 or debug
#   GPUMEM_FUZZ_SEED=...       of the first boot; the next ones count on
set -eu

build=${1:?usage: fuzz-kernel.sh BUILD}
cd "$(dirname "$0")/.."
ops=${GPUMEM_FUZZ_OPS:-10000000} step=${GPUMEM_FUZZ_STEP:-500000}
jobs=${GPUMEM_FUZZ_JOBS:-1} kernel=${GPUMEM_FUZZ_KERNEL:-debug}
seed=${GPUMEM_FUZZ_SEED:-$(date +%s)}
dir=$build/vm/fuzz
scripts/setup.sh build vm
scripts/build.sh "$build"
mkdir -p "$dir"
rm -f "$dir"/[0-9]*.log "$dir/failed"
begin=$(date +%s)

# done_count: operations of the boots that ended.
done_count()
{
	cat "$dir"/[0-9]*.log 2>/dev/null |
		awk '/ operations, seed .* a second/ {n += $1} END {print n + 0}'
}

# boot JOB: one machine after the other until there is enough, or a failure. A
# machine is a session of its own, so that all of it can be ended.
boot()
{
	n=$1
	while [ ! -e "$dir/failed" ] && [ "$(done_count)" -lt "$ops" ]; do
		s=$((seed + n)) log=$dir/$((seed + n)).log
		setsid tests/vm/vm.py --build "$build" --kernel "$kernel" --work="-fuzz$1" --test fuzz --verbose \
			--case-timeout 30000 --append "FUZZ_OPS=$step FUZZ_SEED=$s" >"$log" 2>&1 &
		trap 'kill -s TERM -- "-$!" 2>/dev/null; exit 143' TERM
		if wait $!; then
			total=$(done_count) now=$(date +%s)
			echo "seed $s: $(sed -n 's/^ *\([0-9]* operations,.*\)/\1/p' "$log" | head -1)"
			echo "$total of $ops operations, $((total / (now - begin + 1))) a second over all"
		else
			touch "$dir/failed"
			echo "seed $s: not ok; GPUMEM_FUZZ_SEED=$s replays it; log:"
			cat "$log"
		fi
		n=$((n + jobs))
	done
}

boots=
trap 'exit 130' INT
trap 'exit 143' TERM
# shellcheck disable=SC2086 # process numbers
trap '[ -z "$boots" ] || kill $boots 2>/dev/null || true' EXIT
i=0
while [ "$i" -lt "$jobs" ]; do
	boot "$i" &
	boots="$boots $!"
	i=$((i + 1))
done
wait
boots=
[ ! -e "$dir/failed" ] || exit 1
echo "$(done_count) operations, no finding, no report of the kernel, nothing left"
