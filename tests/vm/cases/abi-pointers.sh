# SPDX-License-Identifier: MIT
# Bad pointers: EFAULT, and nothing left pinned.
vm-abi-bad pointers
