# SPDX-License-Identifier: MIT
# The rm backend of the library: what it refuses.
vm-lib-rm errors
vm-lib-rm lost
