#!/bin/sh
# SPDX-License-Identifier: MIT
# Fuzzes the kernel module in test machines, boot after boot, each with a seed of
# its own, until it has done so many operations or a machine found something.
# usage: fuzz-kernel.sh BUILD
# Environment:
#   OPS=10000000   operations in all
#   STEP=500000    operations a boot
#   JOBS=1         machines at a time
#   KERNEL=debug   6.1, 6.12 or debug
#   SEED=...       of the first boot; the next ones count on
set -eu

cd "$(dirname "$0")/.."
build=$1
ops=${OPS:-10000000} step=${STEP:-500000} jobs=${JOBS:-1} kernel=${KERNEL:-debug}
seed=${SEED:-$(date +%s)}
dir=$build/vm/fuzz
scripts/setup.sh build vm
scripts/build.sh "$build"
rm -rf "$dir"
mkdir -p "$dir"
begin=$(date +%s)

# done_count: operations of the boots that ended.
done_count()
{
	cat "$dir"/*.log 2>/dev/null | awk '/ operations, seed .* a second/ {n += $1} END {print n + 0}'
}

# boot JOB: one machine after the other until there is enough, or a failure.
boot()
{
	n=$1
	while [ ! -e "$dir/failed" ] && [ "$(done_count)" -lt "$ops" ]; do
		s=$((seed + n)) log=$dir/$((seed + n)).log
		if tests/vm/vm.py --build "$build" --kernel "$kernel" --work="-fuzz$1" --test fuzz --verbose \
			--timeout 36000 --append "FUZZ_OPS=$step FUZZ_SEED=$s CASE_TIMEOUT=30000" >"$log" 2>&1; then
			total=$(done_count) now=$(date +%s)
			echo "seed $s: $(sed -n 's/^ *\([0-9]* operations,.*\)/\1/p' "$log" | head -1)"
			echo "$total of $ops operations, $((total / (now - begin + 1))) a second over all"
		else
			touch "$dir/failed"
			echo "seed $s: not ok; FUZZ_SEED=$s replays it; log:"
			cat "$log"
		fi
		n=$((n + jobs))
	done
}

i=0
while [ "$i" -lt "$jobs" ]; do
	boot "$i" &
	i=$((i + 1))
done
wait
[ ! -e "$dir/failed" ] || exit 1
echo "$(done_count) operations, no finding, no report of the kernel, nothing left"
