# SPDX-License-Identifier: MIT
# What 512 MiB cost to map, contiguous and scattered, with large PTEs or without.
. /cases/lib.sh
is_debug && { echo "the debug kernel's own checks are what would be measured"; exit 77; }
trap 'echo 0 >/sys/module/gpumem_emu/parameters/contiguous' EXIT
vm-mmap-huge cost
