# SPDX-License-Identifier: MIT
# A device that still works for an importer which has let go: the memory waits.
. /cases/lib.sh
importer_load
vm-dmabuf-life fence
