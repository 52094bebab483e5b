# SPDX-License-Identifier: MIT
# The same: the module stays until the callback has come.
vm-lifetimes forgotten-unload
