# SPDX-License-Identifier: MIT
# The host finds the data in the video memory file.
. /cases/lib.sh
bar=
for dev in /sys/bus/pci/devices/*; do
	[ "$(cat $dev/vendor $dev/device | tr "\n" " ")" = "0x1af4 0x1110 " ] || continue
	bar=$(sed -n "3s/ .*//p" $dev/resource)
done
[ -n "$bar" ] || { echo "no ivshmem device"; exit 1; }
export bar
vm-hold 1048576 sh -ec '
. /cases/lib.sh
first=$((0x0A000000))
for page in $HOLD_PAGES; do
	host counter $((page - bar)) 16384 $first
	first=$((first + 16384))
done
[ $first = $((0x0A000000 + 262144)) ]
# The check can fail.
set -- $HOLD_PAGES
fails 1 host counter $(($1 - bar)) 16384 1
'
