# SPDX-License-Identifier: MIT
# MADV_DONTNEED, MADV_DOFORK, then revocation.
vm-revoke madvise
