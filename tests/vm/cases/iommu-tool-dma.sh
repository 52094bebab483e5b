# SPDX-License-Identifier: MIT
# As tool-dma, behind the IOMMU.
. /cases/tool-dma.sh
