#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds gpumem.ko: module.sh [KERNEL_BUILD_FOLDER [NVIDIA_SOURCE]]
#
# NVIDIA_SOURCE is the source of the NVIDIA driver's kernel modules: the folder
# that has nvidia/nv-p2p.h, or has it in kernel/ or kernel-open/. Without it, the
# source in DKMS's tree or in /usr/src of the driver that is installed for this
# kernel.
#
# Environment:
#   GPUMEM_NVIDIA_SRC  NVIDIA_SOURCE, where the command line does not name it
#   GPUMEM_NVIDIA_KO   the installed nvidia.ko, instead of the one of modprobe
#   GPUMEM_OUT         the build folder, build/module if it is not set: one that
#                      an earlier run made, an empty one or a new one. The source
#                      folders stay as they are.
#   GPUMEM_GPL         y builds what only a module beside the open flavour of the
#                      driver may use (dma-buf, eventfd, tracepoints, large PTEs),
#                      n leaves it out; without it, the driver's own licence decides
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
kdir=${1:-/lib/modules/$(uname -r)/build}
src=${2:-${GPUMEM_NVIDIA_SRC:-}}
out=${GPUMEM_OUT:-$root/build/module}
case $out in
/*) ;;
*) out=$PWD/$out ;;
esac

fail()
{
	echo "module: $*" >&2
	exit 2
}

[ -f "$kdir/Makefile" ] ||
	fail "$kdir is no kernel build folder; install linux-headers-$(uname -r), or set KDIR"
kdir=$(cd "$kdir" && pwd)
release=$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' \
	"$kdir/include/generated/utsrelease.h" 2>/dev/null || true)
[ -n "$release" ] || fail "$kdir is not prepared for modules: run make modules_prepare there"

# driver_find: the module that loads as nvidia. Distributions give its file other
# names (nvidia-current-open.ko), and may have several; modprobe knows which.
driver_find()
{
	{
		modprobe -S "$release" --show-depends nvidia 2>/dev/null |
			sed -n 's/^insmod \([^ ]*\).*/\1/p'
		find "/lib/modules/$release" -name 'nvidia*.ko*' 2>/dev/null | sort
	} | while read -r found; do
		[ "$(modinfo -F name "$found" 2>/dev/null)" = nvidia ] || continue
		echo "$found"
		break
	done
}

# The driver as it is installed for that kernel, and its version.
ko=${GPUMEM_NVIDIA_KO:-}
[ -n "$ko" ] || ko=$(driver_find)
version=
[ -z "$ko" ] || version=$(modinfo -F version "$ko" 2>/dev/null || true)

# driver_folders SOURCE: the driver's folder, a line each if there are several.
# nvidia-peermem beside it has an nv-p2p.h of its own.
driver_folders()
{
	for dir in nvidia kernel/nvidia kernel-open/nvidia; do
		[ ! -f "$1/$dir/nv-p2p.h" ] || echo "$1/$dir"
	done
}

# installed_folders: the same, of the sources on this machine.
installed_folders()
{
	# shellcheck disable=SC2231 # a pattern where there is no version
	for tree in /var/lib/dkms/nvidia*/${version:-[0-9]*}/source \
		/usr/src/nvidia*-${version:-[0-9]*}; do
		[ ! -d "$tree" ] || driver_folders "$(readlink -f "$tree")"
	done | sort -u
}

if [ -n "$src" ]; then
	[ -d "$src" ] || fail "there is no folder $src"
	src=$(cd "$src" && pwd)
	nvdir=$(driver_folders "$src")
	if [ -z "$nvdir" ]; then
		near=$(find -L "$src" -path '*/nvidia/nv-p2p.h' 2>/dev/null |
			sed 's,/nvidia/nv-p2p.h$,,' | sort | head -n 3 | tr '\n' ' ')
		fail "no nvidia/nv-p2p.h in $src, its kernel/ or kernel-open/; is that the NVIDIA driver's source?${near:+ There is: $near}"
	fi
else
	nvdir=$(installed_folders)
	[ -n "$nvdir" ] ||
		fail "found no source of the NVIDIA driver ${version:+$version }below /usr/src; say where it is: make module NVIDIA_SRC=FOLDER"
fi
[ "$(echo "$nvdir" | wc -l)" = 1 ] ||
	fail "there are several drivers' sources: $(echo "$nvdir" | sed 's,/nvidia$,,' | tr '\n' ' ')- say which: make module NVIDIA_SRC=FOLDER"
for path in "$kdir" "$nvdir" "$out"; do
	case $path in
	*[[:space:]:\'\"\#\$\&\(\),%\`\;\<\>\|\*\?\{\}\\!^]* | *\[* | *\]*)
		fail "$path has a space, a colon, a quote or the like in it, which the kernel's build cannot do with" ;;
	esac
done

case ${GPUMEM_GPL:-} in
y | n) gpl=$GPUMEM_GPL why="as GPUMEM_GPL says" ;;
'')
	license=$(sed -n 's/.*MODULE_LICENSE("\([^"]*\)").*/\1/p' "$nvdir"/*.c | head -1)
	case $license in
	*GPL*) gpl=y ;;
	?*) gpl=n ;;
	*) fail "no MODULE_LICENSE in $nvdir: set GPUMEM_GPL=y for the open flavour of the driver, n for the proprietary one" ;;
	esac
	why="the driver's licence is $license"
	;;
*) fail "GPUMEM_GPL is y or n, not $GPUMEM_GPL" ;;
esac

# Only what an earlier run made is made anew.
marker=made-by-module.sh
[ -f "$out/$marker" ] || [ -z "$(ls -A "$out" 2>/dev/null)" ] ||
	fail "$out is there already and this script has not made it; remove it, or set GPUMEM_OUT to another folder"
mkdir -p "$out"
: >"$out/$marker"
rm -rf "$out/kernel" "$out/uapi" "$out/nvidia.symvers"
cp -r "$root/kernel" "$root/uapi" "$out/"
mod=$out/kernel/gpumem
symvers=$out/nvidia.symvers

# The driver's symbols with their versions: from its build, or from the module.
from=
for f in "$nvdir/../Module.symvers" "$nvdir/Module.symvers"; do
	if [ -f "$f" ] && grep nvidia_p2p_ "$f" >"$symvers"; then
		from=$f
		break
	fi
done
if [ -z "$from" ] && [ -n "$ko" ]; then
	"$root/scripts/module-symvers.sh" "$ko" >"$symvers" && from=$ko
fi
if [ -z "$from" ]; then
	grep -qs '^CONFIG_MODVERSIONS=y' "$kdir/.config" "$kdir/include/config/auto.conf" &&
		fail "this kernel wants the versions of the NVIDIA driver's symbols: ${nvdir%/nvidia} was not built (no Module.symvers), and no nvidia.ko is installed for $release. Install the driver, or build it there first"
	sed -n 's/^ *\(NV_\)\{0,1\}EXPORT_SYMBOL\(_GPL\)\{0,1\}(\(nvidia_p2p_[a-z_]*\)).*/0x00000000\t\3\tnvidia\tEXPORT_SYMBOL\t/p' \
		"$nvdir"/nv-p2p.c | sort -u >"$symvers"
	from=$nvdir/nv-p2p.c
fi

make -C "$kdir" M="$mod" NV_P2P_DIR="$nvdir" GPUMEM_GPL="$gpl" \
	KBUILD_EXTRA_SYMBOLS="$symvers" W="${W:-}" modules
echo "module: for kernel $release, with GPUMEM_GPL=$gpl ($why), symbols of $from"
echo "module: $mod/gpumem.ko"
