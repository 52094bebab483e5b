# SPDX-License-Identifier: MIT
# A forked child cannot use its parent's DMA mappings, behind an IOMMU.
. /cases/dma-child.sh
