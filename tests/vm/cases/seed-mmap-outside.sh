# SPDX-License-Identifier: MIT
# mmap of physical addresses that are not ours.
vm-seed-mmap outside
