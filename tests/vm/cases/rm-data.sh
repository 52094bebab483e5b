# SPDX-License-Identifier: MIT
# The rm backend of the library: data, and more mappings than descriptors.
vm-lib-rm data
vm-lib-rm many
