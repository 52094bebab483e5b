# SPDX-License-Identifier: MIT
# Many pins of one file.
vm-abi-good many
