# SPDX-License-Identifier: MIT
# The board writes and reads GPU memory at odd places; CUDA sees it, behind an IOMMU.
. /cases/lib.sh
board_load
vm-dma data
rmmod fpga_dma
