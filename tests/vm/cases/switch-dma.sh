# SPDX-License-Identifier: MIT
# Boards below the GPU's switch and elsewhere move data.
. /cases/lib.sh
board_load
trap 'rmmod fpga_dma' EXIT
vm-dma peers
