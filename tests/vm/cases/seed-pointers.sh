# SPDX-License-Identifier: MIT
# Structures that cannot be read or written.
vm-seed-errors pointers
