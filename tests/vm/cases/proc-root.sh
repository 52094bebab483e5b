# SPDX-License-Identifier: MIT
# /proc/gpumem as root: pins and their physical addresses.
vm-proc root
