# SPDX-License-Identifier: MIT
# Mappings after UNLOCK and after the memory was freed.
vm-seed-mmap after
