# SPDX-License-Identifier: MIT
# Who waits for another's call of the driver dies when killed.
trap 'echo 0 >/sys/module/gpumem_emu/parameters/stall' EXIT
vm-process waiting
