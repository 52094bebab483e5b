# SPDX-License-Identifier: MIT
# A file opened O_RDONLY maps read-only.
vm-mmap-rules readonly
