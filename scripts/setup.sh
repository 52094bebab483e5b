#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the Debian packages that the given purposes need and the machine
# lacks. Purposes: build, test, vm, vm-arm64, kernel, check, sanitize, arm64,
# bench, fresh. Exits 1, with a line that says why and what to install, where that cannot
# be done.
# usage: setup.sh [--have] PURPOSE...
#   --have  installs nothing, and says nothing: whether what must be there is
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh

have=
if [ "${1:-}" = --have ]; then
	have=1
	shift
fi
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
	# libelf-dev brings the library that the kernel's build tools are linked with.
	vm) packages="$packages python3 qemu-system-x86 busybox-static cpio gcc make kmod util-linux libelf-dev xz-utils" ;;
	kernel) packages="$packages gcc make flex bison bc libelf-dev libssl-dev xz-utils perl" ;;
	check) packages="$packages clang clang-format clang-tidy cppcheck sparse perl g++ xz-utils binutils shellcheck python3-venv" ;;
	sanitize) packages="$packages clang libclang-rt-dev llvm python3 util-linux" ;;
	arm64) packages="$packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user python3 debian-archive-keyring" ;;
	vm-arm64) packages="$packages python3 qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross cpio gcc make kmod libelf-dev xz-utils debian-archive-keyring" ;;
	bench) packages="$packages python3 gnuplot-nox" ;;
	fresh) packages="$packages debootstrap python3 util-linux" ;;
	*) say "setup: no purpose $purpose (build, test, vm, vm-arm64, kernel, check, sanitize, arm64, bench, fresh)"; exit 2 ;;
	esac
done

missing=
for p in $packages; do
	case " $missing " in *" $p "*) continue ;; esac
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
	[ -z "$have" ] || exit $((! ${optional:-0}))
	say "setup: $1"
	[ -n "$optional" ] || exit 1
	say "setup: going on without$missing"
	exit 0
}

[ -z "$have" ] || give_up
command -v apt-get >/dev/null || give_up "this is no Debian: install what stands for$missing"
by_hand="apt-get install --no-install-recommends$missing"
root_command || give_up "packages are missing and $root_why; as root: $by_hand"

if [ "$as_root" = sudo ]; then
	say "setup: packages are missing:$missing; sudo asks for your password to install them"
	sudo -v || give_up "sudo refused. As root: $by_hand"
fi

# The size of what comes is known once apt has its lists. One source that fails
# does not matter if the packages come from another: the installation tells.
apt="$as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600"
# shellcheck disable=SC2086 # words
step "setup: packages are missing:$missing; reading the package lists" $apt update ||
	step_show 5
# Offline, what was downloaded before may do; apt would try each package for long.
offline=
grep -qE '^(Hit|Get):' "$step_log" || offline=--no-download
# shellcheck disable=SC2086
size=$(LC_ALL=C apt-get install --assume-no --no-install-recommends $missing 2>/dev/null |
	sed -n -e 's/^Need to get \(.*B\) of archives.*/\1 to download/p' \
		-e 's/^After this operation, \(.*B\) of additional.*/\1 of disk/p' |
	paste -s -d , | sed 's/,/, /g')
# shellcheck disable=SC2086
step "setup: installing them (${size:-size unknown})" \
	$apt install -y $offline --no-install-recommends $missing || {
	step_show 20
	give_up "installing packages failed (above: why)${offline:+; no package source could be reached: is there a network?} By hand: $by_hand"
}
