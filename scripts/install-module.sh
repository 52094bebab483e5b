#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the source of gpumem.ko for DKMS, below DESTDIR if it is set. Without
# DESTDIR, as root: builds and installs the module for the running kernel, makes
# the group that may use /dev/gpumem, and loads the module, now and at each boot.
#
# usage: install-module.sh [uninstall]
set -eu

cd "$(dirname "$0")/.."
version=$(sed -n 's/^#define GPUMEM_RELEASE "\(.*\)"/\1/p' kernel/gpumem/gpumem_drv.h)
dest=${DESTDIR:-}/usr/src/gpumem-$version

# place FILE TARGET: where `make install` or a package has not put it already.
place()
{
	for dir in /usr/lib /lib /usr/local/lib; do
		[ ! -e "$dir/$2" ] || return 0
	done
	install -D -m 644 "packaging/$1" "/etc/$2"
}

# unplace FILE TARGET: unless it was changed.
unplace()
{
	! cmp -s "packaging/$1" "/etc/$2" || rm "/etc/$2"
}

if [ "${1:-}" = uninstall ]; then
	[ -n "${DESTDIR:-}" ] || ! command -v dkms >/dev/null ||
		dkms remove "gpumem/$version" --all || true
	rm -rf "$dest"
	[ -n "${DESTDIR:-}" ] || {
		unplace 60-gpumem.rules udev/rules.d/60-gpumem.rules
		unplace gpumem.modules-load modules-load.d/gpumem.conf
	}
	exit 0
fi

if [ -z "${DESTDIR:-}" ]; then
	[ "$(id -u)" = 0 ] || {
		echo "install-module: only root can: sudo make install-module" >&2
		exit 1
	}
	command -v dkms >/dev/null || {
		echo "install-module: dkms is missing; install it (apt install dkms), or build the module yourself (make module)" >&2
		exit 1
	}
	! dkms status "gpumem/$version" | grep -q . || dkms remove "gpumem/$version" --all
fi

rm -rf "$dest"
mkdir -p "$dest/kernel/gpumem" "$dest/uapi/linux" "$dest/scripts"
cp kernel/gpumem/*.[ch] kernel/gpumem/Kbuild "$dest/kernel/gpumem/"
rm -f "$dest"/kernel/gpumem/*.mod.c
cp uapi/*.h "$dest/uapi/"
cp uapi/linux/*.h "$dest/uapi/linux/"
cp scripts/module.sh scripts/module-symvers.sh "$dest/scripts/"
cp -r LICENSES "$dest/"
sed "s/#VERSION#/$version/" packaging/dkms.conf >"$dest/dkms.conf"
echo "install-module: source in $dest"
[ -z "${DESTDIR:-}" ] || exit 0

dkms install "gpumem/$version"
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers "$PWD/packaging/gpumem.sysusers"
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
	echo "install-module: the module does not load; dmesg says why" >&2
	exit 1
fi
