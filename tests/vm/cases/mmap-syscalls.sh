# SPDX-License-Identifier: MIT
# System calls with it as their buffer, before and after revocation.
vm-mmap-access syscalls
