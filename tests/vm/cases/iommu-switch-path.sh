# SPDX-License-Identifier: MIT
# With an IOMMU nothing is refused: it translates, or passes all through and sends on
# what ports redirect.
# shellcheck disable=SC2034,SC2154 # of switch_find and drive
. /cases/lib.sh
switch_find
acs "$board_port" 0
# The kernel finds the port with ACS, has it redirect, and gives the board a group of
# its own.
echo 1 >"/sys/bus/pci/devices/$board_port/remove"
echo 1 >/sys/bus/pci/rescan
type=/sys/bus/pci/devices/$board/iommu_group/type
was=$(cat "$type")
trap 'acs_end; echo "$was" >"$type"' EXIT
drive 64 vm-dma-path iommu "$board"
echo identity >"$type"
drive 64 vm-dma-path host "$board" "$board_port"
acs_end
drive 64 vm-dma-path switch "$board" "$up"
