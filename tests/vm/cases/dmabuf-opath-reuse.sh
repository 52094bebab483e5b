# SPDX-License-Identifier: MIT
# The same, and other files are where the dma-buf's was.
vm-lifetimes opath-reuse
