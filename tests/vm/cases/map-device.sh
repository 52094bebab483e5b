# SPDX-License-Identifier: MIT
# Mapped as Device memory: aligned accesses and the libraries' copies work, others do not.
. /cases/lib.sh
trap 'echo -1 >/sys/module/gpumem/parameters/map_device' EXIT
vm-map-type device
demo_sizes kmod
