# SPDX-License-Identifier: MIT
# A driver with another page table version.
vm-limits version
