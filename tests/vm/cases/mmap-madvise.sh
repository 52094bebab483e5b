# SPDX-License-Identifier: MIT
# Every MADV_: what it answers; the data stays.
vm-mmap-rules madvise
