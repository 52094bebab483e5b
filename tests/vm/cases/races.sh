# SPDX-License-Identifier: MIT
# Threads at once on the same pins.
vm-races 10000
