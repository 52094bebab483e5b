# SPDX-License-Identifier: MIT
# Who may map DMA for a device, behind an IOMMU.
. /cases/dma-access.sh
