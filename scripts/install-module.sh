#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the source of gpumem.ko for DKMS, below DESTDIR if it is set. Without
# DESTDIR, as root: builds and installs the module for the running kernel, makes
# the group that may use /dev/gpumem, and loads the module, now and at each boot.
#
# usage: install-module.sh [uninstall]
# Environment: DESTDIR; GPUMEM_PWD, the folder from which a relative one is meant, if
# not the current one.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^#define GPUMEM_RELEASE "\(.*\)"/\1/p' "$root/kernel/gpumem/gpumem_drv.h")
destdir=${DESTDIR:-}
marker=made-by-install-module.sh

fail()
{
	echo "install-module: $*" >&2
	exit 1
}

case $destdir in
'' | /*) ;;
*)
	from=${GPUMEM_PWD-$PWD}
	[ -n "$from" ] ||
		fail "DESTDIR=$destdir is not a whole path, and sudo does not tell from which folder it is meant: write DESTDIR=\"\$PWD/$destdir\""
	destdir=$from/$destdir
	;;
esac
dest=$destdir/usr/src/gpumem-$version

# place FILE TARGET: where `make install` or a package has not put it already.
place()
{
	for dir in /usr/lib /lib /usr/local/lib; do
		[ ! -e "$dir/$2" ] || return 0
	done
	if [ -e "/etc/$2" ] && ! cmp -s "$root/packaging/$1" "/etc/$2"; then
		echo "install-module: left /etc/$2: it was changed"
		return 0
	fi
	install -D -m 644 "$root/packaging/$1" "/etc/$2"
}

# unplace FILE TARGET: unless it was changed.
unplace()
{
	! cmp -s "$root/packaging/$1" "/etc/$2" || rm "/etc/$2"
}

# remove: what an earlier run installed, and nobody else's.
remove()
{
	[ ! -e "$dest" ] || [ -f "$dest/$marker" ] ||
		fail "$dest is there and make install-module has not made it; remove it, or the package that it belongs to"
	if [ -z "$destdir" ] && command -v dkms >/dev/null &&
		[ -n "$(dkms status "gpumem/$version")" ]; then
		dkms remove "gpumem/$version" --all
	fi
	rm -rf "$dest"
}

[ -n "$version" ] || fail "kernel/gpumem/gpumem_drv.h names no version (GPUMEM_RELEASE)"
[ -n "$destdir" ] || [ "$(id -u)" = 0 ] || fail "only root can: sudo make ${1:-install}-module"

if [ "${1:-}" = uninstall ]; then
	remove
	[ -n "$destdir" ] || {
		unplace 60-gpumem.rules udev/rules.d/60-gpumem.rules
		unplace gpumem.modules-load modules-load.d/gpumem.conf
	}
	exit 0
fi

[ -n "$destdir" ] || command -v dkms >/dev/null ||
	fail "dkms is missing; install it (apt install dkms), or build the module yourself (make module)"
remove
mkdir -p "$dest"
: >"$dest/$marker"
mkdir -p "$dest/kernel/gpumem" "$dest/uapi/linux" "$dest/scripts"
cp "$root"/kernel/gpumem/*.[ch] "$root/kernel/gpumem/Kbuild" "$dest/kernel/gpumem/"
rm -f "$dest"/kernel/gpumem/*.mod.c
cp "$root"/uapi/*.h "$dest/uapi/"
cp "$root"/uapi/linux/*.h "$dest/uapi/linux/"
cp "$root/scripts/module.sh" "$root/scripts/module-symvers.sh" "$dest/scripts/"
cp -r "$root/LICENSES" "$dest/"
sed "s/#VERSION#/$version/" "$root/packaging/dkms.conf" >"$dest/dkms.conf"
echo "install-module: source in $dest"
[ -z "$destdir" ] || exit 0

dkms install "gpumem/$version"
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers "$root/packaging/gpumem.sysusers"
else
	getent group gpumem >/dev/null || groupadd --system gpumem
fi
place 60-gpumem.rules udev/rules.d/60-gpumem.rules
place gpumem.modules-load modules-load.d/gpumem.conf
if command -v udevadm >/dev/null; then
	udevadm control --reload || true
fi
if modprobe gpumem; then
	ls -l /dev/gpumem
	echo "install-module: usermod -aG gpumem NAME lets a user in"
else
	fail "the module does not load; dmesg says why"
fi
