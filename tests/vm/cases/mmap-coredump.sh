# SPDX-License-Identifier: MIT
# A core dump of a process with a mapping.
[ -e /proc/sys/kernel/core_pattern ] || { echo "this kernel writes no core dumps"; exit 77; }
old=$(cat /proc/sys/kernel/core_pattern)
trap 'echo "$old" >/proc/sys/kernel/core_pattern' EXIT
echo /tmp/core >/proc/sys/kernel/core_pattern
vm-mmap-access coredump
