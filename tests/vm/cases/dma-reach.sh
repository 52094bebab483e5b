# SPDX-License-Identifier: MIT
# A device whose DMA mask does not reach the memory is refused, without a warning.
. /cases/lib.sh
peer=$(board_address)
drive 32 vm-dma-peer refused $peer
drive 32 vm-dmabuf refused
drive 64 vm-dma-peer physical $peer
