# SPDX-License-Identifier: MIT
# timeout: 600
# Every allocation in every call fails once. Debug kernel only.
. /cases/lib.sh
[ -d /sys/kernel/debug/failslab ] || { echo "the kernel has no fault injection"; exit 77; }
cd /sys/kernel/debug || exit 1
for what in failslab fail_page_alloc; do
	# Said by the test, not by the kernel's log; also where the caller can wait.
	echo 0 >$what/verbose
	echo N >$what/ignore-gfp-wait
done
echo N >fail_page_alloc/ignore-gfp-highmem
echo 0 >fail_page_alloc/min-order
cd /
insmod /lib/modules/fpga_dma.ko
vm-fail-nth
rmmod fpga_dma
# What the kernel says about a page fault or kmemleak that was hit, and copes with.
# shellcheck disable=SC2154 # lib.sh's
dmesg -c | grep -E "$dmesg_bad" | grep -v -e 'kmemleak: Cannot allocate a scan area' \
	-e 'VM_FAULT_OOM leaked out to the #PF handler. Retrying PF' >/tmp/bad || exit 0
cat /tmp/bad
exit 1
