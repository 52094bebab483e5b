#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds gpumem.ko: module.sh [KERNEL_BUILD_FOLDER [NVIDIA_SOURCE]]
#
# NVIDIA_SOURCE is the folder of the NVIDIA driver's kernel modules (where
# nvidia/nv-p2p.h lies, at any depth), also taken from the environment; without
# it, the source in DKMS's tree or below /usr/src of the driver that is installed
# for this kernel. OUT is where the build happens,
# build/module if it is not set: the source folders stay as they are.
#
# GPUMEM_GPL=y builds what only a module beside the open flavour of the driver
# may use (dma-buf, eventfd, tracepoints, large PTEs), n leaves it out; without
# it, the driver's own licence decides.
set -eu

cd "$(dirname "$0")/.."
kdir=${1:-/lib/modules/$(uname -r)/build}
src=${2:-${NVIDIA_SRC:-}}
out=${OUT:-build/module}

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
ko=${NVIDIA_KO:-}
[ -n "$ko" ] || ko=$(driver_find)
version=
[ -z "$ko" ] || version=$(modinfo -F version "$ko" 2>/dev/null || true)

if [ -z "$src" ]; then
	for dir in /var/lib/dkms/nvidia*/${version:-[0-9]*}/source \
		/usr/src/nvidia*-${version:-[0-9]*}; do
		[ -d "$dir" ] && src=$dir
	done
	[ -n "$src" ] ||
		fail "found no source of the NVIDIA driver ${version:+$version }below /usr/src; say where it is: make module NVIDIA_SRC=FOLDER"
fi
[ -d "$src" ] || fail "there is no folder $src"
header=$(find -L "$src" -name nv-p2p.h -path '*nvidia/*' 2>/dev/null | sort | head -1)
[ -n "$header" ] || fail "no nvidia/nv-p2p.h below $src; is that the NVIDIA driver's source?"
nvdir=$(cd "$(dirname "$header")" && pwd)

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

rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
cp -r kernel uapi "$out/"
mod=$out/kernel/gpumem
symvers=$out/nvidia.symvers

# The driver's symbols with their versions: from its build, or from the module.
from=
for f in "$src/Module.symvers" "$nvdir/../Module.symvers" "$nvdir/Module.symvers"; do
	if [ -f "$f" ] && grep nvidia_p2p_ "$f" >"$symvers"; then
		from=$f
		break
	fi
done
if [ -z "$from" ] && [ -n "$ko" ]; then
	scripts/module-symvers.sh "$ko" >"$symvers" && from=$ko
fi
if [ -z "$from" ]; then
	grep -qs '^CONFIG_MODVERSIONS=y' "$kdir/.config" "$kdir/include/config/auto.conf" &&
		fail "this kernel wants the versions of the NVIDIA driver's symbols: $src was not built (no Module.symvers), and no nvidia.ko is installed for $release. Install the driver, or build it there first"
	sed -n 's/^ *\(NV_\)\{0,1\}EXPORT_SYMBOL\(_GPL\)\{0,1\}(\(nvidia_p2p_[a-z_]*\)).*/0x00000000\t\3\tnvidia\tEXPORT_SYMBOL\t/p' \
		"$nvdir"/nv-p2p.c | sort -u >"$symvers"
	from=$nvdir/nv-p2p.c
fi

make -C "$kdir" M="$mod" NV_P2P_DIR="$nvdir" GPUMEM_GPL="$gpl" \
	KBUILD_EXTRA_SYMBOLS="$symvers" W="${W:-}" modules
echo "module: for kernel $release, with GPUMEM_GPL=$gpl ($why), symbols of $from"
echo "module: $mod/gpumem.ko"
