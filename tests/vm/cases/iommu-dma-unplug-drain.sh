# SPDX-License-Identifier: MIT
# The driver takes a device out with its own lock held, behind the IOMMU.
. /cases/dma-unplug-drain.sh
