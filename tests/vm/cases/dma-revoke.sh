# SPDX-License-Identifier: MIT
# cuMemFree() and the end of CUDA end DMA mappings.
. /cases/lib.sh
board_load
vm-dma revoke
rmmod fpga_dma
