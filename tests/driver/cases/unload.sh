# SPDX-License-Identifier: MIT
# NVIDIA's driver cannot be unloaded before gpumem.ko, nor gpumem.ko while a file is
# open; without either, both can, and be loaded again, in one step or in two.
. /cases/lib.sh
fails 1 rmmod nvidia 2>/tmp/rmmod
cat /tmp/rmmod
loaded nvidia
exec 8<>/dev/gpumem
fails 1 rmmod gpumem 2>/tmp/rmmod
cat /tmp/rmmod
loaded gpumem
fails 1 rmmod nvidia 2>/dev/null
exec 8>&-
for way in one two one; do
	rmmod gpumem
	[ ! -e /dev/gpumem ]
	[ ! -e /proc/gpumem ]
	loaded nvidia
	rmmod nvidia
	fails 1 loaded nvidia
	[ $way = one ] || modprobe nvidia
	modprobe gpumem
	nodes_make
	vm-pins version
done
# gpumem.ko alone, below it the driver stays.
rmmod gpumem
insmod "/lib/modules/$(uname -r)/gpumem.ko"
nodes_make
vm-pins version
