# SPDX-License-Identifier: MIT
# The IOMMU stops the board at addresses that are not mapped, and says so.
. /cases/lib.sh
board_load

# faults Write|Read: lines of the kernel's log, one for each access that was stopped.
faults()
{
	if [ "$(uname -m)" = x86_64 ]; then
		dmesg | grep "DMAR: \[DMA $1 NO_PASID\] Request device \[\(0000:\)\?00:0[0-9]\.0\]"
		return
	fi
	# arm64: an event's second word; bit 35 is set in that of a read.
	digit='[0-7]'
	[ "$1" = Write ] || digit='[89a-f]'
	dmesg | grep -A 2 'arm-smmu-v3.*event 0x10 received' | grep -v -e received -e '^--' |
		sed -n 'n;p' | grep "0x[0-9a-f]\{7\}$digit"
}
writes=$(faults Write | wc -l)
reads=$(faults Read | wc -l)
vm-dma-blocked
# The IOMMU tells the kernel by an interrupt of its own.
echo "waits for the fault of a write"
until [ "$(faults Write | wc -l)" -gt "$writes" ]; do sleep 0.1; done
echo "waits for the fault of a read"
until [ "$(faults Read | wc -l)" -gt "$reads" ]; do sleep 0.1; done
rmmod fpga_dma
