# SPDX-License-Identifier: MIT
# Without a GPU NVIDIA's driver does not load, and so gpumem.ko does not: modprobe
# fails, and leaves neither.
. /cases/lib.sh
rmmod gpumem
rmmod nvidia
rmmod fakegpu
trap modules_load EXIT
if modprobe gpumem; then
	echo "gpumem is loaded without a GPU"
	exit 1
fi
said 'NVRM: No NVIDIA GPU found'
fails 1 loaded nvidia
fails 1 loaded gpumem
[ ! -e /dev/gpumem ]
# Without the driver the kernel does not find its symbols.
if insmod "/lib/modules/$(uname -r)/gpumem.ko" 2>/tmp/insmod; then
	echo "gpumem is loaded without NVIDIA's driver"
	exit 1
fi
said 'gpumem: Unknown symbol nvidia_p2p_get_pages'
fails 1 loaded gpumem
