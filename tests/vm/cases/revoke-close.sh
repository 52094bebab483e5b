# SPDX-License-Identifier: MIT
# The CUDA side of the process goes away.
vm-revoke close
