# SPDX-License-Identifier: MIT
# Two boards on one pin.
. /cases/lib.sh
board_load
vm-dma peers
rmmod fpga_dma
