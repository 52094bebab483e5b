# SPDX-License-Identifier: MIT
# gpumem_dma_*(): the board moves data at the addresses that the library gives.
. /cases/lib.sh
board_load
trap 'rmmod fpga_dma' EXIT
peer=$(board_address)
for mode in map ends errors freed fork threads; do
	vm-lib-dma $mode $peer /dev/fpga-dma0
done
