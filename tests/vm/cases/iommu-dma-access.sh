# SPDX-License-Identifier: MIT
# Who may map DMA for a device, behind an IOMMU.
. /cases/lib.sh
board_load
vm-dma-access
rmmod fpga_dma
