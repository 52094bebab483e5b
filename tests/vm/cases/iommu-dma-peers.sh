# SPDX-License-Identifier: MIT
# Two boards on one pin, behind an IOMMU.
. /cases/dma-peers.sh
