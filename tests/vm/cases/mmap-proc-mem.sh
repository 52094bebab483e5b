# SPDX-License-Identifier: MIT
# /proc/PID/mem reads and writes it, within the process's rights.
vm-mmap-access proc-mem
