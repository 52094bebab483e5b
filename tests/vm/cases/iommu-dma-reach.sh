# SPDX-License-Identifier: MIT
# The same behind an IOMMU that translates, and one that passes all through, which
# is what iommu=pt asks for.
. /cases/lib.sh
peer=$(board_address)
type=/sys/bus/pci/devices/$peer/iommu_group/type
was=$(cat $type)
trap 'echo $was >$type' EXIT
echo DMA >$type
mask_set 32
vm-dma-peer translated $peer
echo identity >$type
vm-dma-peer refused $peer
insmod /lib/modules/importer.ko mask=32
vm-dmabuf refused
rmmod importer
mask_set 64
vm-dma-peer physical $peer
echo DMA >$type
vm-dma-peer translated $peer
