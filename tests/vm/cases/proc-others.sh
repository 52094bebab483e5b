# SPDX-License-Identifier: MIT
# /proc/gpumem: GPU addresses are shown to their owner and to root alone.
vm-proc others
