# SPDX-License-Identifier: MIT
# As lib-dma, behind the IOMMU.
. /cases/lib.sh
board_load
trap 'rmmod fpga_dma' EXIT
peer=$(board_address)
for mode in map ends errors freed fork threads; do
	vm-lib-dma $mode $peer /dev/fpga-dma0
done
