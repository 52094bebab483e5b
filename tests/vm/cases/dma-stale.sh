# SPDX-License-Identifier: MIT
# Ids of DMA mappings do not come again soon.
. /cases/lib.sh
board_load
vm-dma stale
rmmod fpga_dma
