# SPDX-License-Identifier: MIT
# gpumem_dma_map() by a user: only with a file of the device that he may write.
. /cases/lib.sh
board_load
peer=$(board_address)
files=/sys/bus/pci/devices/$peer
trap 'chown 0 $files/config $files/resource0; rmmod fpga_dma' EXIT
as_user vm-lib-dma stranger $peer
for file in config resource0; do
	chown 1000 $files/$file
	as_user vm-lib-dma owner $peer
	chown 0 $files/$file
done
as_user vm-lib-dma stranger $peer
