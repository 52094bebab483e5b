# SPDX-License-Identifier: MIT
# Threads export, import and map while others free and unpin.
. /cases/lib.sh
importer_load
vm-dmabuf-life races
