# SPDX-License-Identifier: MIT
# A small copy of a mapped buffer passes no locked instruction.
vm-lib-quick rm
vm-lib-quick sim
