# SPDX-License-Identifier: MIT
# The tracepoints and what they tell.
. /cases/lib.sh
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || true
[ -e /sys/kernel/tracing/events ] || { echo "this kernel has no tracing"; exit 77; }
drive 64 vm-trace "$(board_address)"
