# SPDX-License-Identifier: MIT
# A device is taken out while memory is mapped for it.
. /cases/lib.sh
peer=$(board_address)
drive 64 vm-dma-peer unplug $peer
drive 64 vm-dma-peer race $peer
drive 64 vm-lib-dma unplugged $peer
# The board is as good as before.
board_load
trap 'rmmod fpga_dma' EXIT
vm-dma data
