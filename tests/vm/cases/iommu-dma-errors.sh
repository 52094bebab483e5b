# SPDX-License-Identifier: MIT
# Every error of DMA_MAP, DMA_RUNS and DMA_UNMAP, behind an IOMMU.
. /cases/lib.sh
board_load
vm-dma errors
rmmod fpga_dma
