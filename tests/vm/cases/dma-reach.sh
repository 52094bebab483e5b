# SPDX-License-Identifier: MIT
# A device whose DMA mask does not reach the memory is refused, without a warning.
. /cases/lib.sh
peer=$(board_address)
mask_set 32
vm-dma-peer refused $peer
insmod /lib/modules/importer.ko mask=32
vm-dmabuf refused
rmmod importer
mask_set 64
vm-dma-peer physical $peer
