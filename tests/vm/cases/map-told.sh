# SPDX-License-Identifier: MIT
# PIN, INFO and the library tell what kind of memory a mapping is.
trap 'echo -1 >/sys/module/gpumem/parameters/map_device' EXIT
vm-map-type told
