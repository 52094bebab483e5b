#!/bin/sh
# SPDX-License-Identifier: MIT
# scripts/module.sh finds the installed NVIDIA driver whatever its file is
# called, and the driver's folder in each layout that its source comes in; it
# builds in a folder of its own and touches no other. Stand-ins for modprobe and
# modinfo tell of drivers that are not there, a made-up kernel says what it would
# have built.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/install/check.sh"
unset NVIDIA_SRC NVIDIA_KO OUT DESTDIR GPUMEM_NVIDIA_SRC GPUMEM_NVIDIA_KO GPUMEM_OUT \
	GPUMEM_GPL

mkdir -p "$work/bin" "$work/kernel/include/generated"
cat >"$work/kernel/Makefile" <<'END'
modules:
	@echo "built $(NV_P2P_DIR) GPL=$(GPUMEM_GPL)"
	@touch $(M)/gpumem.ko
END
echo '#define UTS_RELEASE "0.0-gpumem-test"' \
	>"$work/kernel/include/generated/utsrelease.h"

# DEPENDS: what modprobe prints, each a line
cat >"$work/bin/modprobe" <<'END'
#!/bin/sh
[ "$1 $2 $3 $4" = "-S 0.0-gpumem-test --show-depends nvidia" ] || exit 2
[ -n "$DEPENDS" ] || exit 1
printf '%s\n' "$DEPENDS"
END
# A module's name and version are in its file's: NAME=VERSION.ko
cat >"$work/bin/modinfo" <<'END'
#!/bin/sh
file=${3##*/}
file=${file%.ko}
case $2 in
name) echo "${file%=*}" ;;
version) echo "${file#*=}" ;;
esac
END
chmod +x "$work/bin/modprobe" "$work/bin/modinfo"
PATH=$work/bin:$PATH
DEPENDS=
export PATH DEPENDS

# module ARGUMENT...: module.sh for the made-up kernel
module()
{
	out=$(GPUMEM_OUT=${folder:-$work/out} sh "$root/scripts/module.sh" \
		"$work/kernel" "$@" 2>&1)
	status=$?
}

# says TEXT NAME DEPENDS: what module.sh says of the driver, of which there is no
# source
says()
{
	DEPENDS=$3
	module
	DEPENDS=
	case $status:$out in
	"2:module: found no source of the NVIDIA driver $1below /usr/src"*)
		report "$2" 0
		;;
	*) report "$2" 1 ;;
	esac
}

says '999.1 ' 'the module that modprobe would load' \
	'insmod /m/nvidia=999.1.ko NVreg_X=1'
says '999.2 ' 'under the name of a distribution, after what it depends on' \
	'insmod /m/drm=0.ko
insmod /m/other/nvidia=999.2.ko'
says '999.3 ' 'the first of several that is the driver itself' \
	'insmod /m/nvidia-modeset=1.ko
insmod /m/nvidia=999.3.ko
insmod /m/nvidia=999.4.ko'
# With any source on the machine that would do.
set -- /usr/src/nvidia*-[0-9]* /var/lib/dkms/nvidia*
[ -e "$1" ] || [ -e "$2" ] || says '' 'no driver' ''

# source_make FOLDER LICENCE: the driver's modules; nvidia-peermem has a header
# of the same name and another licence.
source_make()
{
	mkdir -p "$1/nvidia" "$1/nvidia-peermem" "$1/nvidia-uvm"
	touch "$1/nvidia/nv-p2p.h" "$1/nvidia-peermem/nv-p2p.h"
	echo 'NV_EXPORT_SYMBOL(nvidia_p2p_get_pages);' >"$1/nvidia/nv-p2p.c"
	echo "MODULE_LICENSE(\"$2\");" >"$1/nvidia/nv.c"
	echo 'MODULE_LICENSE("Dual BSD/GPL");' >"$1/nvidia-peermem/nvidia-peermem.c"
}

# builds NAME SOURCE FOLDER GPL: from SOURCE, against the driver in FOLDER
builds()
{
	module "$2"
	case $status:$out in
	"0:"*"built $3/nvidia GPL=$4"*) report "$1" 0 ;;
	*) report "$1: the driver is in $3, GPL=$4" 1 ;;
	esac
}

# refuses NAME TEXT ARGUMENT...: module.sh fails and says TEXT
refuses()
{
	name=$1
	text=$2
	shift 2
	module "$@"
	case $status:$out in
	"2:module: "*"$text"*) report "$name" 0 ;;
	*) report "$name: \"$text\"" 1 ;;
	esac
}

# Each below a folder "nvidia", as DKMS's tree is.
trees=$work/nvidia
debian=$trees/debian/usr/src/modules/nvidia-kernel
open=$trees/debian-open/usr/src/modules/nvidia-open-kernel
run=$trees/NVIDIA-Linux-x86_64-999.1
github=$trees/open-gpu-kernel-modules
flat=$trees/usr/src/nvidia-999.1
source_make "$debian" NVIDIA
source_make "$open" 'Dual MIT/GPL'
source_make "$run/kernel" NVIDIA
source_make "$trees/old/kernel" NVIDIA
source_make "$run/kernel-open" 'Dual MIT/GPL'
source_make "$github/kernel-open" 'Dual MIT/GPL'
mkdir -p "$github/src/nvidia/interface" "$trees/dkms/nvidia/999.1"
source_make "$flat" NVIDIA
ln -s "$flat" "$trees/dkms/nvidia/999.1/source"

builds "Debian's nvidia-kernel-source" "$debian" "$debian" n
builds "Debian's nvidia-open-kernel-source" "$open" "$open" y
builds "NVIDIA's .run file of old, with one flavour" "$trees/old" "$trees/old/kernel" n
builds "NVIDIA's .run file, the proprietary flavour" "$run/kernel" "$run/kernel" n
builds "NVIDIA's .run file, the open flavour" "$run/kernel-open" "$run/kernel-open" y
builds "NVIDIA's repository" "$github" "$github/kernel-open" y
builds "DKMS's tree" "$trees/dkms/nvidia/999.1/source" \
	"$trees/dkms/nvidia/999.1/source" n
refuses "NVIDIA's .run file, both flavours: neither is taken" \
	"$run/kernel $run/kernel-open - say which" "$run"
refuses 'a folder above says where the source is' "There is: $debian " "$trees/debian"
rm -r "$trees/old/kernel/nvidia"
refuses 'nvidia-peermem alone is not the driver' 'no nvidia/nv-p2p.h' "$trees/old"
refuses 'no such folder' "there is no folder $work/none" "$work/none"
echo >"$debian/nvidia/nv.c"
refuses 'a licence beside the driver does not count' "no MODULE_LICENSE in $debian/nvidia" \
	"$debian"

out=$(cd "$open/.." && GPUMEM_OUT=$work/out GPUMEM_NVIDIA_SRC=nvidia-open-kernel \
	sh "$root/scripts/module.sh" ../../../../../kernel 2>&1)
status=$?
case $status:$out in
"0:"*"built $open/nvidia GPL=y"*) report 'the source from the environment, relative' 0 ;;
*) report 'the source from the environment, relative' 1 ;;
esac

# What is in other folders stays.
mkdir "$work/mine" "$work/empty"
echo kept >"$work/mine/file"
mkdir "$work/mine/kernel"
folder=$work/mine
refuses 'a build folder that it has not made' "$work/mine is there already" "$open"
[ "$(cat "$work/mine/file")" = kept ] && [ -d "$work/mine/kernel" ]
report 'which stays as it is' $?
folder=$work/empty
builds 'an empty build folder' "$open" "$open" y
echo kept >"$work/empty/file"
builds 'the same build folder again' "$open" "$open" y
[ "$(cat "$work/empty/file")" = kept ] && [ -f "$work/empty/kernel/gpumem/gpumem.ko" ]
report 'where only what it made is made anew' $?
folder=
OUT=$work/mine
export OUT
module "$open"
unset OUT
[ "$status" -eq 0 ] && [ "$(cat "$work/mine/file")" = kept ]
report 'OUT of the environment is not asked' $?
folder='with space'
refuses 'a build folder with a space' 'has a space, a colon, a quote' "$open"
folder=with:colon
refuses 'a build folder with a colon' 'has a space, a colon, a quote' "$open"
folder=

# As DKMS builds it: in a copy of the source, with root's environment. It does so
# with bash, and reads dkms.conf with it.
DESTDIR=$work/dest sh "$root/scripts/install-module.sh" >"$work/log" 2>&1
out=$(cd "$work"/dest/usr/src/gpumem-* && mkdir build && touch build/kept &&
	GPUMEM_OUT=$work/elsewhere GPUMEM_NVIDIA_SRC=$open \
		kernel_source_dir=$work/kernel bash -c '. ./dkms.conf
			eval "${MAKE[0]}" &&
				[ -f "${BUILT_MODULE_LOCATION[0]}/${BUILT_MODULE_NAME[0]}.ko" ] &&
				eval "$CLEAN" && ls build' 2>&1)
status=$?
[ "$status" -eq 0 ] && [ ! -e "$work/elsewhere" ] && [ "$(echo "$out" | tail -n 1)" = kept ]
report 'the module of dkms.conf is where DKMS looks' $?

[ "$failed" -eq 0 ]
