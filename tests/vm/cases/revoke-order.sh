# SPDX-License-Identifier: MIT
# munmap, UNPIN, close and free in other orders.
vm-revoke order
