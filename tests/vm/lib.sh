# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Shell functions for the test machine's init and its cases.

# shellcheck disable=SC2034 # init reads it
dmesg_bad='WARNING|oom-kill|Out of memory|BUG|Oops|Call Trace|general protection|unable to handle|leak|KASAN|UBSAN|kmemleak|possible (recursive|circular)|lockdep|soft lockup|hung task|refcount_t|Bad page|Unable to|contract breach'
# Lines that are not looked at.
# shellcheck disable=SC2034
dmesg_not_ours='^$'

# say LINE: one line to the host.
say()
{
	echo "$*" >&7
}

# host COMMAND...: asks the host; false, with the reason printed, if it says no.
# One at a time: init asks too.
host()
{
	answer=$(flock /tmp/talk sh -c 'echo "host $*" >&7; read -r answer <&7; echo "$answer"' sh "$@")
	[ "$answer" = yes ] && return 0
	echo "host: $answer"
	return 1
}

modules_load()
{
	insmod /lib/modules/gpumem_emu.ko && insmod /lib/modules/gpumem.ko &&
		chmod 0666 /dev/gpumem /dev/gpumem-emu
}

# is_debug: true on the debug kernel.
is_debug()
{
	[ -e /sys/kernel/debug/kmemleak ]
}

# lockdep_check: false, saying so, if lockdep has turned itself off.
lockdep_check()
{
	[ -e /proc/lockdep_stats ] || return 0
	[ "$(awk '$1 == "debug_locks:" {print $2}' /proc/lockdep_stats)" = 1 ] && return 0
	echo "lockdep has turned itself off"
	return 1
}

# counter NAME: a counter of the emulated GPU, or dma_maps, which gpumem.ko makes.
counter()
{
	if [ "$1" = dma_maps ]; then
		cat /sys/module/gpumem/parameters/dma_maps 2>/dev/null || echo 0
		return
	fi
	awk -v n="$1" '$1 == n {print $2}' /proc/gpumem-emu
}

# left_check: false, saying what, if anything is pinned, mapped or allocated.
left_check()
{
	[ -e /proc/gpumem-emu ] || { echo "the emulated GPU is not loaded"; return 1; }
	bad=0
	for n in blocks pins pinned_pages dma_maps holds rm_clients rm_objects rm_maps exports; do
		v=$(counter $n)
		[ "$v" = 0 ] || { echo "left over after the case: $n is ${v:-missing}"; bad=1; }
	done
	free=$(($(counter free_pages) * 65536))
	[ "$free" = "$(counter vram_bytes)" ] || { echo "left over: $free bytes free of $(counter vram_bytes)"; bad=1; }
	left_check_driver || bad=1
	return $bad
}

# left_check_driver: the same for a driver beside the emulated GPU.
left_check_driver()
{
	:
}

# as_user COMMAND...: runs it as an ordinary user without any privilege.
as_user()
{
	/usr/bin/setpriv --reuid=1000 --regid=1000 --clear-groups --bounding-set=-all -- "$@"
}

# fails CODE COMMAND...: true if the command exits with just that code.
fails()
{
	want=$1
	shift
	got=0
	"$@" || got=$?
	[ $got = "$want" ] && return 0
	echo "exit code $got instead of $want: $*"
	return 1
}

# demo BACKEND ARGUMENTS...: runs gpumem demo; true if it says that it used the
# backend and that the test was successful. Set RUN to a command to run it by.
demo()
{
	demo_backend=$1
	shift
	$RUN gpumem demo --backend "$demo_backend" "$@" >/tmp/demo.out 2>&1 ||
		{ echo "demo $demo_backend $*: exit code $?"; cat /tmp/demo.out; return 1; }
	grep -q "^backend  $demo_backend\$" /tmp/demo.out &&
		[ "$(tail -n 1 /tmp/demo.out)" = 'Test successful' ] && return 0
	echo "demo $demo_backend $*: not what it should print:"
	cat /tmp/demo.out
	return 1
}

# demo_sizes BACKEND: the sizes and offsets at which something could go wrong.
demo_sizes()
{
	for demo_size in 1 2 3 5 4095 4096 4097 65535 65536 65537 1M 1048577 16M; do
		demo "$1" --size "$demo_size" || return 1
	done
	for demo_offset in 1 511 4096 65535; do
		demo "$1" --size 100000 --offset "$demo_offset" || return 1
	done
}

# importer_load: loads the test importer of dma-bufs until the case ends.
importer_load()
{
	insmod /lib/modules/importer.ko
	trap "rmmod importer" EXIT
}

# drive BITS COMMAND...: runs it while the test importer drives the boards, with a
# DMA mask of so many bits. Set importer_options to more of its parameters.
drive()
{
	# shellcheck disable=SC2086 # it is several words, or none
	insmod /lib/modules/importer.ko drive=1 "mask=$1" $importer_options
	shift
	drive_rc=0
	"$@" || drive_rc=$?
	echo 0 >/sys/module/importer/parameters/stay
	rmmod importer
	return $drive_rc
}

# board_load: the example's driver and so /dev/fpga-dma0 and 1, for one case.
board_load()
{
	grep -q '^fpga_dma ' /proc/modules || insmod /lib/modules/fpga_dma.ko
	[ -e /dev/fpga-dma0 ]
}

# board_address: the PCI address of /dev/fpga-dma0, or without the driver of the
# first board. The driver counts the boards in the order in which it met them.
board_address()
{
	if [ -e /sys/class/misc/fpga-dma0/device ]; then
		basename "$(readlink -f /sys/class/misc/fpga-dma0/device)"
		return
	fi
	for board in /sys/bus/pci/devices/*; do
		[ "$(cat "$board/vendor") $(cat "$board/device")" = '0x1234 0x11e8' ] || continue
		basename "$board"
		return
	done
	return 1
}

# above ADDRESS N: the name of the PCI device N bridges above a device.
above()
{
	above_path=$(readlink -f "/sys/bus/pci/devices/$1")
	for _ in $(seq "$2"); do
		above_path=$(dirname "$above_path")
	done
	basename "$above_path"
}

# switch_find: sets gpu, board (the one below the GPU's switch) and the ports of the
# switch: up, gpu_port, board_port. Dma-bufs are attached for that board.
switch_find()
{
	gpu='' board=''
	for each in /sys/bus/pci/devices/*; do
		case $(cat "$each/vendor") in
		0x1af4) gpu=$(basename "$each") ;;
		0x1234) [ "$(above "$(basename "$each")" 1)" = pci0000:00 ] || board=$(basename "$each") ;;
		esac
	done
	gpu_port=$(above "$gpu" 1) board_port=$(above "$board" 1)
	up=$(above "$gpu" 2)
	importer_options="peer=$board"
	[ "$up" = "$(above "$board" 2)" ]
}

# acs PORT CONTROL: the port has ACS from now on, with that control register.
acs()
{
	echo "$1=$2" >/sys/module/gpumem_emu/parameters/acs
}

# acs_end: no port has it.
acs_end()
{
	echo - >/sys/module/gpumem_emu/parameters/acs
}

# The VM with NVIDIA's driver has some of these its own way.
if [ -e /cases/driver.sh ]; then
	# shellcheck source=tests/driver/lib.sh
	. /cases/driver.sh
fi

# doctor_row LEVEL CHECK TEXT: what `gpumem doctor` wrote into /tmp/doctor.out has that
# line; its further rows belong to it.
doctor_row()
{
	sed -e ':a' -e '$!N' -e 's/\n  */ /' -e 'ta' -e P -e D /tmp/doctor.out |
		grep -q "^$1  *$2  *.*$3" && return 0
	echo "no line: $1 $2 $3"
	cat /tmp/doctor.out
	return 1
}
