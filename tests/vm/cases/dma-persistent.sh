# SPDX-License-Identifier: MIT
# A persistent pin's DMA mapping outlives cuMemFree().
. /cases/lib.sh
board_load
vm-dma persistent
rmmod fpga_dma
