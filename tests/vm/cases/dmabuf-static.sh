# SPDX-License-Identifier: MIT
# A static importer keeps a persistent pin's memory.
. /cases/lib.sh
importer_load
vm-dmabuf-life static
