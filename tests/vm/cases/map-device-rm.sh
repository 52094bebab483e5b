# SPDX-License-Identifier: MIT
# The same where NVIDIA's driver maps the memory, for backend rm.
. /cases/lib.sh
trap 'echo 0 >/sys/module/gpumem_emu/parameters/map_device' EXIT
vm-map-type device-rm
demo_sizes rm
