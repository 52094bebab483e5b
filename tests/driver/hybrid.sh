# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What differs from tests/vm/lib.sh where NVIDIA's driver is above the emulated GPU:
# lib.sh reads it there.

# shellcheck disable=SC2034 # init reads it
dmesg_not_ours='NVRM:|taints kernel|tainting kernel'

# objects CACHE: how many objects of a cache of the kernel's are in use.
objects()
{
	echo 1 >"/sys/kernel/slab/$1/shrink"
	sed 's/ .*//' "/sys/kernel/slab/$1/objects"
}

modules_load()
{
	modprobe fakegpu memory=1024 && modprobe nvidia &&
		insmod /lib/modules/gpumem_emu.ko && insmod /lib/modules/gpumem.ko &&
		chmod 0666 /dev/gpumem /dev/gpumem-emu &&
		grep -q 'nvidia_p2p_get_pages.*\[nvidia\]' /proc/kallsyms &&
		objects nvidia_stack_cache >/tmp/stacks
}

# Each call of the driver has a stack, and each page in a page table an object. The
# driver loses those of a table whose memory is freed before it has set the callback.
left_check_driver()
{
	driver_bad=0
	driver_stacks=$(objects nvidia_stack_cache)
	[ "$driver_stacks" = "$(cat /tmp/stacks)" ] ||
		{ echo "left over: $driver_stacks stacks of the driver instead of $(cat /tmp/stacks)"; driver_bad=1; }
	[ "$(cat /sys/module/gpumem_emu/parameters/lost)" = 0 ] || return $driver_bad
	driver_pages=$(objects nvidia_p2p_page_cache)
	[ "$driver_pages" = 0 ] ||
		{ echo "left over: $driver_pages pages in page tables of the driver"; driver_bad=1; }
	return $driver_bad
}
