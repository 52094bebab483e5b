# SPDX-License-Identifier: MIT
# A device's driver takes its time to leave it, while memory is mapped for it.
. /cases/lib.sh
peer=$(board_address)
drive 64 vm-dma-peer leaving $peer
