# SPDX-License-Identifier: MIT
# A thread with a descriptor table of its own ends before its process.
vm-lifetimes thread
