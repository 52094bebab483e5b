# SPDX-License-Identifier: MIT
# Sizes, reserved members and flags of every structure.
vm-abi-bad structs
