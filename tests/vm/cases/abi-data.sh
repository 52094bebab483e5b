# SPDX-License-Identifier: MIT
# Data through the mapping, both ways, checked by CUDA.
vm-abi-good data
