#!/bin/sh
# SPDX-License-Identifier: MIT
# scripts/module.sh finds the installed NVIDIA driver whatever its file is
# called: stand-ins for modprobe and modinfo tell of drivers that are not there,
# and the script, which finds no source of them, says which version it looked for.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/gpumem-driver.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
failed=0

mkdir -p "$work/bin" "$work/kernel/include/generated"
touch "$work/kernel/Makefile"
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

# says TEXT NAME DEPENDS: what module.sh says of the driver
says()
{
	out=$(PATH=$work/bin:$PATH DEPENDS=$3 NVIDIA_SRC='' NVIDIA_KO='' \
		OUT=$work/out sh "$root/scripts/module.sh" "$work/kernel" 2>&1)
	status=$?
	case $status:$out in
	"2:module: found no source of the NVIDIA driver $1below /usr/src"*)
		echo "ok - $2"
		;;
	*)
		echo "not ok - $2: exit $status: $out"
		failed=$((failed + 1))
		;;
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

[ "$failed" -eq 0 ]
