# SPDX-License-Identifier: MIT
# The driver takes a device out with its own lock held, while memory is mapped.
. /cases/lib.sh
peer=$(board_address)
drive 64 vm-dma-peer drain $peer
