# SPDX-License-Identifier: MIT
# PIN, INFO and PAGES of all sizes and alignments.
vm-abi-good sizes
