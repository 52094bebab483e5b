# SPDX-License-Identifier: MIT
# A device's driver leaves it while memory is mapped for it.
. /cases/lib.sh
board_load
trap 'rmmod fpga_dma' EXIT
vm-dma-peer unbind
