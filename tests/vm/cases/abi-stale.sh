# SPDX-License-Identifier: MIT
# Ids, handles and mmap offsets do not come again soon.
vm-abi-bad stale
