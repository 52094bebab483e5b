# SPDX-License-Identifier: MIT
# Static and dynamic importers, pinning or not.
. /cases/lib.sh
importer_load
vm-dmabuf importers
