# SPDX-License-Identifier: MIT
# The kernel forgets that pages were write-combined when they are no longer pinned.
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null || true
[ -e /sys/kernel/debug/x86/pat_memtype_list ] || { echo "this kernel has no pat_memtype_list"; exit 77; }
vm-lifetimes write-combined
