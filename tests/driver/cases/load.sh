# SPDX-License-Identifier: MIT
# modprobe gpumem has loaded NVIDIA's driver, which has probed the GPU and cannot
# initialise it.
. /cases/lib.sh
gpu=$(gpu_address)
grep -E '^(gpumem|nvidia|fakegpu) ' /proc/modules
grep -q '^nvidia [0-9]* [0-9]* gpumem,' /proc/modules
head -n 1 /proc/driver/nvidia/version
grep -q 'Open Kernel Module' /proc/driver/nvidia/version
grep "$gpu" "/proc/driver/nvidia/gpus/$gpu/information"
[ -e "/sys/bus/pci/drivers/nvidia/$gpu" ]
[ -c /dev/gpumem ]
vm-pins version
# The driver answers, the GPU does not.
sh -c 'exec 8<>/dev/nvidiactl'
if sh -c 'exec 8<>/dev/nvidia0' 2>/tmp/open; then
	echo "/dev/nvidia0 can be opened: this GPU cannot have been initialised"
	exit 1
fi
cat /tmp/open
grep -q 'Input/output error' /tmp/open
