# SPDX-License-Identifier: MIT
# Two processes at once, each with its own data.
vm-process two
