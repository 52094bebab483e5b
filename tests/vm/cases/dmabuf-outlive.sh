# SPDX-License-Identifier: MIT
# The dma-buf outlives pin, file and process.
. /cases/lib.sh
importer_load
vm-dmabuf-life outlive
