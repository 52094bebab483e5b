# SPDX-License-Identifier: MIT
# kill -9 of processes that map DMA, 200 times at random moments, behind an IOMMU.
. /cases/lib.sh
board_load
vm-dma-storm 200
rmmod fpga_dma
