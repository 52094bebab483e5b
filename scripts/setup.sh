#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that the given purposes need and the machine
# lacks. Purposes: build, test, vm, kernel, check, bench.
set -eu

packages=
# Where packages cannot be had, building alone goes on if these commands are
# there: the other packages only make the build fuller.
commands="cc make meson ninja"
optional=1
for purpose; do
	[ "$purpose" = build ] || optional=
	case $purpose in
	build) packages="$packages gcc libc6-dev make meson ninja-build pkg-config libjson-c-dev" ;;
	test) packages="$packages libcmocka-dev python3 mandoc" ;;
	vm) packages="$packages python3 qemu-system-x86 busybox-static cpio gcc make kmod util-linux" ;;
	kernel) packages="$packages gcc make flex bison bc libelf-dev libssl-dev xz-utils perl" ;;
	check) packages="$packages clang clang-format clang-tidy cppcheck sparse perl g++ xz-utils binutils shellcheck" ;;
	bench) packages="$packages python3 gnuplot-nox" ;;
	*) echo "setup: no purpose $purpose (build, test, vm, kernel, check, bench)" >&2; exit 2 ;;
	esac
done

missing=
for p in $packages; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' ||
		missing="$missing $p"
done
[ -n "$missing" ] || exit 0

# give_up WHY: fails, unless what must be there is.
give_up()
{
	for c in $commands; do
		command -v "$c" >/dev/null || optional=
	done
	if [ -z "$optional" ]; then
		echo "setup: $1" >&2
		exit 1
	fi
	echo "setup: going on without$missing" >&2
	exit 0
}

command -v apt-get >/dev/null || give_up "this is no Debian: install what stands for$missing"
as_root=
if [ "$(id -u)" != 0 ]; then
	if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		as_root="sudo -n"
	else
		give_up "only root can install what is missing: run: sudo apt-get install$missing"
	fi
fi
echo "setup: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! { $as_root apt-get update && $as_root apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	give_up "$(tail -20 "$log"; echo; echo "setup: installing packages failed; the lines above say why")"
fi
