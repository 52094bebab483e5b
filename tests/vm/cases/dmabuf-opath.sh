# SPDX-License-Identifier: MIT
# A dma-buf's file is gone, an O_PATH descriptor keeps the dma-buf.
vm-lifetimes opath
