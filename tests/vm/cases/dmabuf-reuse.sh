# SPDX-License-Identifier: MIT
# Memory that an importer still maps is nobody else's.
. /cases/lib.sh
importer_load
vm-dmabuf-life reuse
