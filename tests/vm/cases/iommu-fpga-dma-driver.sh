# SPDX-License-Identifier: MIT
# The driver of the example: wild arguments, signals, unbinding while it works.
. /cases/fpga-dma-driver.sh
