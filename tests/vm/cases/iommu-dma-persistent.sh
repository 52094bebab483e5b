# SPDX-License-Identifier: MIT
# A persistent pin's DMA mapping outlives cuMemFree(), behind an IOMMU.
. /cases/dma-persistent.sh
