# SPDX-License-Identifier: MIT
# Every call after the memory was freed.
vm-revoke calls
