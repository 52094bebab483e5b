# SPDX-License-Identifier: MIT
# The tracepoints and what they tell.
. /cases/lib.sh
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null || true
[ -e /sys/kernel/tracing/events ] || { echo "this kernel has no tracing"; exit 77; }
# Sets the edu device's DMA mask, as a driver for it would.
importer_load
for dev in /sys/bus/pci/devices/*; do
	[ "$(cat $dev/vendor $dev/device | tr "\n" " ")" = "0x1234 0x11e8 " ] || continue
	peer=${dev##*/}
	break
done
vm-trace "$peer"
