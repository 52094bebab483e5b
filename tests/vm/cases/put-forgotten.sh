# SPDX-License-Identifier: MIT
# put_pages says 0 and releases nothing: the callback comes after UNPIN.
vm-lifetimes forgotten
