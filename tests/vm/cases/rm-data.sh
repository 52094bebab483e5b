# SPDX-License-Identifier: MIT
# The rm backend of the library: data.
vm-lib-rm data
