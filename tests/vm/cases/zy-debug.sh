# SPDX-License-Identifier: MIT
# timeout: 300
# The debug kernel is what it should be, and found no leak in the whole run.
. /cases/lib.sh
is_debug || { echo "not the debug kernel"; exit 77; }
zcat /proc/config.gz >/tmp/config
for opt in KASAN KASAN_GENERIC PROVE_LOCKING DEBUG_KMEMLEAK UBSAN DEBUG_ATOMIC_SLEEP DEBUG_LIST DEBUG_VM \
	FAULT_INJECTION FAILSLAB FAIL_PAGE_ALLOC; do
	grep -q "^CONFIG_$opt=y" /tmp/config || { echo "the kernel has no CONFIG_$opt"; exit 1; }
done
# An object is a leak when two scans in a row found no pointer to it. A scan leaves
# out what is younger than 5 s, by the clock of the machine that sleep has as well.
leaks=/sys/kernel/debug/kmemleak
for _ in 1 2; do
	sleep 6
	echo scan >$leaks || { echo "kmemleak has turned itself off"; exit 1; }
done
cat $leaks >/tmp/leaks
echo "$(grep -c '^unreferenced' /tmp/leaks) leaks, $(grep -c 'gpumem' /tmp/leaks) lines about gpumem or its emulator"
cat /tmp/leaks
[ ! -s /tmp/leaks ]
