# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What differs from tests/vm/lib.sh where NVIDIA's driver is above the emulated GPU:
# lib.sh reads it there.

# shellcheck disable=SC2034 # init reads it
dmesg_not_ours='NVRM:|taints kernel|tainting kernel'

modules_load()
{
	modprobe fakegpu memory=1024 && modprobe nvidia &&
		insmod /lib/modules/gpumem_emu.ko && insmod /lib/modules/gpumem.ko &&
		chmod 0666 /dev/gpumem /dev/gpumem-emu &&
		grep -q 'nvidia_p2p_get_pages.*\[nvidia\]' /proc/kallsyms
}
