# SPDX-License-Identifier: MIT
# An importer gets the pages' addresses, and the buffer's bytes there.
. /cases/lib.sh
importer_load
vm-dmabuf addresses
