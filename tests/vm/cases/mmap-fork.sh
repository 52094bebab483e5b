# SPDX-License-Identifier: MIT
# fork and exec: no child has the mapping.
vm-mmap-rules fork
