# SPDX-License-Identifier: MIT
# Many pins on one block, one callback each.
vm-revoke many
