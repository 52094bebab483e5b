# SPDX-License-Identifier: MIT
# Hundreds of DMA mappings, ended in another order, behind an IOMMU.
. /cases/lib.sh
board_load
vm-dma many
rmmod fpga_dma
