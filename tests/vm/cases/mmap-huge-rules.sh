# SPDX-License-Identifier: MIT
# Large PTEs split, moved and revoked.
trap 'echo 0 >/sys/module/gpumem_emu/parameters/contiguous' EXIT
vm-mmap-huge rules
