# SPDX-License-Identifier: MIT
# 256 MiB through one mapping.
vm-abi-good data-256m
