# SPDX-License-Identifier: MIT
# Memory of a GPU with a coherent CPU link is refused for devices, without a warning.
. /cases/lib.sh
peer=$(board_address)
trap 'echo 0 >/sys/module/gpumem_emu/parameters/coherent' EXIT
drive 64 vm-dma-memory coherent $peer
