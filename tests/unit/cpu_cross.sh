#!/bin/sh
# SPDX-License-Identifier: MIT
# Compiles the copy routines of another architecture and checks them under
# QEMU's user-mode emulation.
# usage: cpu_cross.sh ARCH     aarch64, or any that has no routines of its own
# Exits with 0, 1, or 77 where the cross compiler or the emulator is missing.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
arch=$1
cc=$arch-linux-gnu-gcc
qemu=qemu-$arch
# Of the package qemu-user-static.
command -v "$qemu" >/dev/null 2>&1 || ! command -v "$qemu-static" >/dev/null 2>&1 ||
	qemu=$qemu-static

for tool in "$cc" "$qemu"; do
	if ! command -v "$tool" >/dev/null 2>&1; then
		echo "skip - $arch: $tool is not installed" \
			"(Debian: gcc-$(echo "$arch" | tr _ -)-linux-gnu, qemu-user)"
		exit 77
	fi
done

work=$(mktemp -d "${TMPDIR:-/tmp}/gpumem-cross.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# Static: the emulator then needs none of that architecture's libraries.
"$cc" -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -Werror \
	-I"$root/include" -I"$root/lib" -I"$root" -static -o "$work/cpu_alone" \
	"$root/tests/unit/cpu_alone.c" "$root/tests/unit/cpu_check.c" \
	"$root"/lib/cpu/*.c "$root/lib/base/error.c" "$root/lib/base/text.c" || exit 1
"$qemu" "$work/cpu_alone" 9
