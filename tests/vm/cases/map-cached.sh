# SPDX-License-Identifier: MIT
# Memory of a GPU with a coherent CPU link is mapped cached, without a warning.
trap 'echo 0 >/sys/module/gpumem_emu/parameters/coherent' EXIT
vm-map-type cached
