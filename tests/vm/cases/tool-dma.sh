# SPDX-License-Identifier: MIT
# `gpumem dma`: what it prints, holds and refuses.
. /cases/lib.sh
board_load
trap 'rmmod fpga_dma' EXIT
peer=$(board_address)
expect()
{
	grep -q "$1" /tmp/dma.out && return
	echo "expected $1 in:"
	cat /tmp/dma.out
	return 1
}
maps()
{
	[ "$(counter dma_maps)" = $1 ] && return
	echo "expected $1 DMA mappings, found $(counter dma_maps)"
	return 1
}

gpumem dma --backend kmod --peer $peer --size 3M --offset 12345 >/tmp/dma.out
expect '^backend  kmod$'
expect "^peer     $peer, "
expect '^buffer   3 MiB at GPU address 0x[0-9a-f]*, 12345 bytes into'
# Each piece follows the one before, down to the end of the last page.
awk '/^ *[0-9]+ +0x/ { if ($1 != end) { print "a gap before " $0; exit 1 } end = $1 + $3; n++ }
     END { if (!n || end != 49 * 65536) { print n, "pieces, up to", end; exit 1 } }' /tmp/dma.out
if ! [ -e /sys/bus/pci/devices/$peer/iommu_group ]; then
	expect "^peer     $peer, no IOMMU$"
	expect '^path     through the host bridge$'
	awk '/^ *[0-9]+ +0x/ && $2 != $4 { print "not the physical address: " $0; exit 1 }' /tmp/dma.out
else
	expect "^peer     $peer, IOMMU group [0-9]*, domain DMA"
	expect '^path     through the host bridge, whose IOMMU translates$'
fi

gpumem dma --peer ${peer#0000:} --size 1 --json >/tmp/dma.out
expect "\"peer\": *\"$peer\""
expect '"physical": *"0x'

# Held until a line comes, or the time is over.
mkfifo /tmp/dma.key
gpumem dma --peer $peer --hold 0 </tmp/dma.key >/tmp/dma.out 2>&1 &
pid=$!
exec 8>/tmp/dma.key
until grep -q 'mapped until Enter' /tmp/dma.out; do
	kill -0 $pid || { cat /tmp/dma.out; exit 1; }
	sleep 0.1
done
maps 1
echo >&8
exec 8>&-
wait $pid
maps 0
gpumem dma --peer $peer --hold 1 </dev/null >/tmp/dma.out 2>&1
expect 'mapped for 1 seconds'

fails 3 gpumem dma --peer 0000:7f:1f.7 2>/tmp/dma.out
expect 'no such PCI device'
fails 2 gpumem dma --peer nothing 2>/tmp/dma.out
expect 'is no PCI address'
got=0
as_user gpumem dma --backend kmod --peer $peer >/tmp/dma.out 2>&1 || got=$?
[ $got = 3 ]
expect 'udev rule'
