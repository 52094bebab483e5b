# SPDX-License-Identifier: MIT
# gpumem_dma_map() for a device that vfio-pci has, or that does not reach the
# memory: what it says. The driver that manages DMA as vfio-pci does is simulated.
. /cases/lib.sh
peer=$(board_address)
insmod /lib/modules/importer.ko managed=1
vm-lib-dma vfio $peer
rmmod importer
drive 32 vm-lib-dma mask $peer
drive 64 true
