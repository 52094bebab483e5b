# SPDX-License-Identifier: MIT
# mmap of several pages that are neighbours in memory.
vm-seed-mmap neighbours
