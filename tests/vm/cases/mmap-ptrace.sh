# SPDX-License-Identifier: MIT
# A debugger reads and writes it; EIO after revocation.
vm-mmap-access ptrace
