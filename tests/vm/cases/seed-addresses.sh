# SPDX-License-Identifier: MIT
# LOCK of wrong, freed and unaligned ranges.
vm-seed-errors addresses
