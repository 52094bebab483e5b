# SPDX-License-Identifier: MIT
# The example: a board moves data into and out of GPU memory.
. /cases/lib.sh
board_load
fpga-dma >/tmp/fpga.out
cat /tmp/fpga.out
[ "$(tail -n 1 /tmp/fpga.out)" = 'Test successful' ]
grep -q 'wrote 16384 bytes and read 16384 bytes' /tmp/fpga.out
fpga-dma --board /dev/fpga-dma1 --total 4K
fpga-dma --total 2
fpga-dma --total 20006 --board /dev/fpga-dma0 --board /dev/fpga-dma1
# An unknown node, and wrong usage.
fails 1 fpga-dma --board /dev/null 2>/dev/null
fails 2 fpga-dma --total 3 2>/dev/null
rmmod fpga_dma
