# SPDX-License-Identifier: MIT
# DMA_MAP and DMA_RUNS: addresses, runs, parts of them.
. /cases/lib.sh
board_load
vm-dma runs
rmmod fpga_dma
