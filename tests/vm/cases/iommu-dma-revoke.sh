# SPDX-License-Identifier: MIT
# cuMemFree() and the end of CUDA end DMA mappings, behind an IOMMU.
. /cases/lib.sh
board_load
vm-dma revoke
rmmod fpga_dma
