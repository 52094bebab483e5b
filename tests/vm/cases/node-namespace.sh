# SPDX-License-Identifier: MIT
# A container ends with a dma-buf in a socket that only the kernel can reach.
vm-lifetimes namespace
