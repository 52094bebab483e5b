# SPDX-License-Identifier: MIT
# The driver of the example: wild arguments, signals, unbinding while it works.
. /cases/lib.sh
board_load
vm-fpga-driver
rmmod fpga_dma
