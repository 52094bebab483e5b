# SPDX-License-Identifier: MIT
# The kernel holds the mapped pages as write-combined.
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null || true
[ -e /sys/kernel/debug/x86/pat_memtype_list ] || { echo "this kernel has no pat_memtype_list"; exit 77; }
vm-proc write-combined
