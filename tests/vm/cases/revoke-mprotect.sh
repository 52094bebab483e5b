# SPDX-License-Identifier: MIT
# Revocation of a mapping whose protection was changed.
vm-revoke mprotect
