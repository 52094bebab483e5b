# SPDX-License-Identifier: MIT
# The host sees in the video memory file what the board wrote, behind an IOMMU.
. /cases/lib.sh
board_load
vm-dma host
rmmod fpga_dma
