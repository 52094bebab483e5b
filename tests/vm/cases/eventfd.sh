# SPDX-License-Identifier: MIT
# The eventfd is signalled once, at revocation and then only.
vm-persistent eventfd
