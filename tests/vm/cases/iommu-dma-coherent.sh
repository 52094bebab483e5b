# SPDX-License-Identifier: MIT
# Memory of a GPU with a coherent CPU link is refused behind the IOMMU as well.
. /cases/dma-coherent.sh
