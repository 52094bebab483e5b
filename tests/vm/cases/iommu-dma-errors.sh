# SPDX-License-Identifier: MIT
# Every error of DMA_MAP, DMA_RUNS and DMA_UNMAP, behind an IOMMU.
. /cases/dma-errors.sh
