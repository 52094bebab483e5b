# SPDX-License-Identifier: MIT
# The IOMMU stops the board at addresses that are not mapped, and says so.
. /cases/lib.sh
board_load
before=$(dmesg | grep -c 'DMAR: \[DMA ') || true
vm-dma-blocked
dmesg | grep 'DMAR: \[DMA ' | tail -n +$((before + 1)) >/tmp/faults
cat /tmp/faults
grep -q '\[DMA Write NO_PASID\] Request device \[\(0000:\)\?00:0[0-9]\.0\]' /tmp/faults
grep -q '\[DMA Read NO_PASID\] Request device \[\(0000:\)\?00:0[0-9]\.0\]' /tmp/faults
rmmod fpga_dma
