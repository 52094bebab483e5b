# SPDX-License-Identifier: MIT
# The rm backend of the library: memory freed while mapped.
vm-lib-rm freed
