# SPDX-License-Identifier: MIT
# The example moves 16 MiB by many boards, or as much as FPGA_TOTAL says.
# timeout: 1200
. /cases/lib.sh
board_load
boards=$(for node in /dev/fpga-dma*; do echo "--board $node"; done)
fpga-dma --total ${FPGA_TOTAL:-16M} $boards
rmmod fpga_dma
