# SPDX-License-Identifier: MIT
# UNPIN and close end DMA mappings.
. /cases/lib.sh
board_load
vm-dma end
rmmod fpga_dma
