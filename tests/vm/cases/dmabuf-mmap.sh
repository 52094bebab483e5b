# SPDX-License-Identifier: MIT
# A dma-buf mapped by the CPU, here and in another process.
. /cases/lib.sh
importer_load
vm-dmabuf mmap
