# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What differs from tests/vm/lib.sh where NVIDIA's driver is in the place of the
# emulated GPU: lib.sh reads it there.

# shellcheck disable=SC2034 # init reads it
dmesg_not_ours='NVRM:|taints kernel|tainting kernel'

# gpu_address: the GPU's PCI address, where fakegpu.c places it.
gpu_address()
{
	echo 0001:17:00.0
}

# driver_version: such as 535.261.03.
driver_version()
{
	grep -om 1 '[0-9]*\.[0-9.]*[0-9]' /proc/driver/nvidia/version | head -n 1
}

# nodes_make: the device nodes, which NVIDIA's user space makes elsewhere.
nodes_make()
{
	[ -e /dev/nvidiactl ] || mknod -m 0666 /dev/nvidiactl c 195 255
	[ -e /dev/nvidia0 ] || mknod -m 0666 /dev/nvidia0 c 195 0
	chmod 0666 /dev/gpumem
}

modules_load()
{
	modprobe fakegpu && modprobe gpumem && nodes_make
}

# loaded MODULE: whether it is.
loaded()
{
	grep -q "^$1 " /proc/modules
}

# users MODULE: how many use it, other modules too.
users()
{
	awk -v n="$1" '$1 == n {print $3}' /proc/modules
}

# said TEXT: whether the kernel logged it since the case began.
said()
{
	dmesg | grep -q "$1" && return 0
	echo "the kernel did not log: $1"
	dmesg | tail -n 20
	return 1
}

left_check()
{
	bad=0
	for n in fakegpu nvidia gpumem; do
		loaded $n || { echo "after the case $n is not loaded"; bad=1; }
	done
	[ "$(users gpumem)" = 0 ] || { echo "left over: $(users gpumem) users of gpumem"; bad=1; }
	[ "$(wc -l </proc/gpumem)" = 1 ] || { echo "left over: pins"; cat /proc/gpumem; bad=1; }
	[ -e "/sys/bus/pci/drivers/nvidia/$(gpu_address)" ] || { echo "after the case the driver has no GPU"; bad=1; }
	return $bad
}
