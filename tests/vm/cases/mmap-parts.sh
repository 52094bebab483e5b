# SPDX-License-Identifier: MIT
# Parts of a mapping; holes in it.
vm-mmap-rules parts
