# SPDX-License-Identifier: MIT
# Two boards on one pin, behind an IOMMU.
. /cases/lib.sh
board_load
vm-dma peers
rmmod fpga_dma
