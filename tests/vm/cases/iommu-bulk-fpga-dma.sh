# SPDX-License-Identifier: MIT
# The example moves 16 MiB by many boards, or as much as FPGA_TOTAL says, behind an IOMMU.
# timeout: 1200
. /cases/bulk-fpga-dma.sh
