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
	# arm64: ten events in five seconds, which a write alone takes up.
	dmesg | grep 'arm-smmu-v3.*event 0x10 received'
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
