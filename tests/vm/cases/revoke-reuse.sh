# SPDX-License-Identifier: MIT
# Freed memory gets another owner while still mapped.
vm-revoke reuse
