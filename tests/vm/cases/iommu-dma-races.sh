# SPDX-License-Identifier: MIT
# DMA_MAP, DMA_UNMAP, UNPIN and cuMemFree() of the same pins at once, behind an IOMMU.
. /cases/lib.sh
board_load
vm-dma-races 10000
rmmod fpga_dma
