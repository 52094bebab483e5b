# SPDX-License-Identifier: MIT
# Hundreds of DMA mappings, ended in another order, behind an IOMMU.
. /cases/dma-many.sh
