# SPDX-License-Identifier: MIT
# Who may map DMA for a device.
. /cases/lib.sh
board_load
vm-dma-access
rmmod fpga_dma
