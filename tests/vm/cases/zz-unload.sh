# SPDX-License-Identifier: MIT
# The modules are unloaded, refused while in use, and loaded again.
. /cases/lib.sh
loaded()
{
	grep -q "^$1 " /proc/modules
}
# Refused while a file is open.
vm-hold 65536 sh -ec '. /cases/lib.sh
fails 1 rmmod gpumem 2>/dev/null
fails 1 rmmod gpumem_emu 2>/dev/null'
loaded gpumem
# The first one, once unused, still keeps the second.
fails 1 rmmod gpumem_emu 2>/dev/null
loaded gpumem_emu

# A process that is killed does not keep them; nor does its child, which has none
# of its files once it runs another program.
vm-hold 65536 sh -c 'echo $$ >/tmp/held; exec sleep 1000' &
pid=$!
until [ -s /tmp/held ]; do usleep 10000; done
kill -9 $pid
wait $pid || true
kill -9 "$(cat /tmp/held)"
for _ in 1 2 3; do
	rmmod gpumem
	rmmod gpumem_emu
	fails 1 loaded gpumem
	fails 1 loaded gpumem_emu
	[ ! -e /dev/gpumem ]
	[ ! -e /proc/gpumem ]
	modules_load
	vm-abi-good data
done
