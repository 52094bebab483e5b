# SPDX-License-Identifier: MIT
# A forked child cannot use its parent's DMA mappings.
. /cases/lib.sh
board_load
vm-dma child
rmmod fpga_dma
