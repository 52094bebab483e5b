# SPDX-License-Identifier: MIT
# PIN of wrong, freed, too long and overflowing ranges.
vm-abi-bad ranges
