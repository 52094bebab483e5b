# SPDX-License-Identifier: MIT
# The owner dies while a child holds its files.
vm-process outlive
