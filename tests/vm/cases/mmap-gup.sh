# SPDX-License-Identifier: MIT
# Nothing in the kernel gets its pages.
vm-mmap-access gup
