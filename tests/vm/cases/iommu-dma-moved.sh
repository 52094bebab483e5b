# SPDX-License-Identifier: MIT
# A host bridge that moves addresses, which the IOMMU makes up for.
. /cases/lib.sh
peer=$(board_address)
trap 'echo 0 >/sys/module/gpumem_emu/parameters/bus_offset' EXIT
drive 64 vm-dma-memory moved-iommu $peer
