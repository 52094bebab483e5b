# SPDX-License-Identifier: MIT
# DMA_MAP and DMA_RUNS: addresses, runs, parts of them, behind an IOMMU.
. /cases/dma-runs.sh
