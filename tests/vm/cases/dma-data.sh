# SPDX-License-Identifier: MIT
# The board writes and reads GPU memory at odd places; CUDA sees it.
. /cases/lib.sh
board_load
vm-dma data
rmmod fpga_dma
