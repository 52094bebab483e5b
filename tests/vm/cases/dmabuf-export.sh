# SPDX-License-Identifier: MIT
# EXPORT: the descriptor's properties, and what is refused.
. /cases/lib.sh
importer_load
vm-dmabuf export
