# SPDX-License-Identifier: MIT
# cuMemFree() and the end of CUDA end DMA mappings, behind an IOMMU.
. /cases/dma-revoke.sh
