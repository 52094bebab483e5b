# SPDX-License-Identifier: MIT
# Revocation of a mapping that was moved and split.
vm-revoke mremap
