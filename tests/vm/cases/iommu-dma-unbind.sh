# SPDX-License-Identifier: MIT
# A device's driver leaves it while memory is mapped for it, behind the IOMMU.
. /cases/dma-unbind.sh
