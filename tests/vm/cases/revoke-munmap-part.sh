# SPDX-License-Identifier: MIT
# Revocation of a mapping with a hole.
vm-revoke munmap-part
