# SPDX-License-Identifier: MIT
# What mmap refuses.
vm-abi-bad mmap
