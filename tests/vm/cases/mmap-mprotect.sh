# SPDX-License-Identifier: MIT
# mprotect: read-only, none, back; never executable.
vm-mmap-rules mprotect
