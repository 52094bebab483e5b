# SPDX-License-Identifier: MIT
# The GPU is taken from its driver, and from the bus, with gpumem.ko loaded and a file
# open; it comes back each time.
. /cases/lib.sh
gpu=$(gpu_address)
trap 'echo 1 >/sys/bus/pci/rescan' EXIT
bound="/sys/bus/pci/drivers/nvidia/$gpu"
exec 8<>/dev/gpumem
for way in unbind remove unbind remove; do
	echo "$way"
	if [ $way = unbind ]; then
		echo "$gpu" >/sys/bus/pci/drivers/nvidia/unbind
	else
		echo 1 >"/sys/bus/pci/devices/$gpu/remove"
		[ ! -e "/sys/bus/pci/devices/$gpu" ]
	fi
	[ ! -e "$bound" ]
	vm-pins version
	vm-pins refused
	if [ $way = unbind ]; then
		echo "$gpu" >/sys/bus/pci/drivers/nvidia/bind
	else
		echo 1 >/sys/bus/pci/rescan
	fi
	[ -e "$bound" ]
	vm-pins refused
done
exec 8>&-
# Unloaded, and the driver with it, while there is no GPU.
echo 1 >"/sys/bus/pci/devices/$gpu/remove"
rmmod gpumem
rmmod nvidia
echo 1 >/sys/bus/pci/rescan
modprobe gpumem
nodes_make
[ -e "$bound" ]
