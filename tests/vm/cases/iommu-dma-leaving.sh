# SPDX-License-Identifier: MIT
# A device's driver takes its time to leave it, behind the IOMMU.
. /cases/dma-leaving.sh
