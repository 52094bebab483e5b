# SPDX-License-Identifier: MIT
# 64 processes pin 4 TiB of nothing: it costs no memory, and nobody is killed.
vm-limits nothing
