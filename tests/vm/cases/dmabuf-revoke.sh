# SPDX-License-Identifier: MIT
# The pin ends: importers are told, mappings lose their pages.
. /cases/lib.sh
importer_load
vm-dmabuf revoke
