# SPDX-License-Identifier: MIT
# UNPIN and close end DMA mappings, behind an IOMMU.
. /cases/dma-end.sh
