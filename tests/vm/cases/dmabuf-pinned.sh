# SPDX-License-Identifier: MIT
# An importer that pins keeps a persistent pin's memory.
. /cases/lib.sh
importer_load
vm-dmabuf-life pinned
