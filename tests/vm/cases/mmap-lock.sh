# SPDX-License-Identifier: MIT
# mlock, MAP_LOCKED, MAP_POPULATE, msync.
vm-mmap-rules lock
