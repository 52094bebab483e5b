# SPDX-License-Identifier: MIT
# mremap: moved, shrunk, never grown or doubled.
vm-mmap-rules mremap
