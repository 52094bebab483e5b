# SPDX-License-Identifier: MIT
# The example: a board moves data into and out of GPU memory, behind an IOMMU.
. /cases/fpga-dma.sh
