# SPDX-License-Identifier: MIT
# The file system of the node, as a container's /dev, goes before a dma-buf.
vm-lifetimes umount
