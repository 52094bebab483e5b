# SPDX-License-Identifier: MIT
# A gpumem.ko that was built for another driver is refused: the versions of the
# driver's symbols are in both.
. /cases/lib.sh
rmmod gpumem
trap modules_load EXIT
if insmod /lib/modules/foreign/gpumem.ko 2>/tmp/insmod; then
	echo "a gpumem.ko of another driver is loaded"
	exit 1
fi
cat /tmp/insmod
said 'gpumem: disagrees about version of symbol nvidia_p2p_get_pages'
fails 1 loaded gpumem
[ ! -e /dev/gpumem ]
modprobe gpumem
loaded gpumem
