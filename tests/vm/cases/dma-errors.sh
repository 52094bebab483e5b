# SPDX-License-Identifier: MIT
# Every error of DMA_MAP, DMA_RUNS and DMA_UNMAP.
. /cases/lib.sh
board_load
vm-dma errors
rmmod fpga_dma
