# SPDX-License-Identifier: MIT
# BAR1 space runs out.
vm-limits bar1
