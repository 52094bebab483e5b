# SPDX-License-Identifier: MIT
# As lib-dma, behind the IOMMU.
. /cases/lib-dma.sh
