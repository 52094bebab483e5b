# SPDX-License-Identifier: MIT
# 32-bit calls are refused.
vm-abi-bad compat
