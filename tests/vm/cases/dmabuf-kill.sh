# SPDX-License-Identifier: MIT
# kill -9, 100 times at random moments, with dma-bufs and importers.
. /cases/lib.sh
importer_load
vm-dmabuf-life kill
