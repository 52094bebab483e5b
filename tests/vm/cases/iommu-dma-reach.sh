# SPDX-License-Identifier: MIT
# The same behind an IOMMU that translates, and one that passes all through, which
# is what iommu=pt asks for.
. /cases/lib.sh
peer=$(board_address)
type=/sys/bus/pci/devices/$peer/iommu_group/type
was=$(cat $type)
trap 'echo $was >$type' EXIT
echo DMA >$type
drive 32 vm-dma-peer translated $peer
echo identity >$type
drive 32 vm-dma-peer refused $peer
drive 32 vm-dmabuf refused
drive 64 vm-dma-peer physical $peer
echo DMA >$type
drive 64 vm-dma-peer translated $peer
