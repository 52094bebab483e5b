# SPDX-License-Identifier: MIT
# The owner dies; a child holds only the file of /dev/gpumem.
vm-process outlive-revoked
