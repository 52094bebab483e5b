# SPDX-License-Identifier: MIT
# A device is taken out while memory is mapped for it, behind the IOMMU.
. /cases/dma-unplug.sh
