# SPDX-License-Identifier: MIT
# kill -9 of processes that map DMA, 200 times at random moments, behind an IOMMU.
. /cases/dma-storm.sh
