# SPDX-License-Identifier: MIT
# DMA_MAP, DMA_UNMAP, UNPIN and cuMemFree() of the same pins at once, behind an IOMMU.
. /cases/dma-races.sh
