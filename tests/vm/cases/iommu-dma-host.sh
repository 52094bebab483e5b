# SPDX-License-Identifier: MIT
# The host sees in the video memory file what the board wrote, behind an IOMMU.
. /cases/dma-host.sh
