# SPDX-License-Identifier: MIT
# The IOMMU stops the board at addresses that are not mapped, and says so.
. /cases/lib.sh
board_load
before=$(dmesg | grep -c 'DMAR: \[DMA ') || true
vm-dma-blocked
# The IOMMU tells the kernel by an interrupt of its own.
for access in Write Read; do
	echo "waits for the fault of a $access"
	until dmesg | grep 'DMAR: \[DMA ' | tail -n +$((before + 1)) |
		grep "\[DMA $access NO_PASID\] Request device \[\(0000:\)\?00:0[0-9]\.0\]"; do
		sleep 0.1
	done
done
rmmod fpga_dma
