# SPDX-License-Identifier: MIT
# The board writes and reads GPU memory at odd places; CUDA sees it, behind an IOMMU.
. /cases/dma-data.sh
