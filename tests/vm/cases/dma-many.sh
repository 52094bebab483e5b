# SPDX-License-Identifier: MIT
# Hundreds of DMA mappings, ended in another order.
. /cases/lib.sh
board_load
vm-dma many
rmmod fpga_dma
