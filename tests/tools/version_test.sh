#!/bin/sh
# SPDX-License-Identifier: MIT
# One version everywhere: in every file that repeats it, in the command and for
# pkg-config, in gpumem(3), which is made; and scripts/version.sh notices each place
# that has another.
#
# version_test.sh SOURCE-ROOT GPUMEM GPUMEM.PC GPUMEM.3 VERSION
set -u

root=$1
command=$2
pc=$3
manual=$4
version=$5
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail()
{
	echo "FAILED: $*"
	failed=1
}

VERSION_ROOT=$root "$root/scripts/version.sh" check || fail "the sources"
said=$("$command" --version)
[ "$said" = "gpumem $version" ] || fail "gpumem --version says $said, not $version"
said=$(sed -n 's/^Version: //p' "$pc")
[ "$said" = "$version" ] || fail "pkg-config has $said, not $version"
grep -qxF ".Os gpumem $version" "$manual" || fail "gpumem(3) has another version than $version"

# Copies of the files, in which each place is changed in turn.
files="meson.build include/gpumem.h kernel/gpumem/gpumem_drv.h man/gpumem.1 man/gpumem.4
	CHANGELOG.md"
copy()
{
	for file in $files; do
		mkdir -p "$work/$(dirname "$file")"
		cp "$root/$file" "$work/$file"
	done
}
in_copy() { VERSION_ROOT=$work "$root/scripts/version.sh" "$@" >"$work/said"; }

copy
in_copy set 12.34.56 || fail "set 12.34.56: exit status $?"
[ "$(in_copy && cat "$work/said")" = 12.34.56 ] || fail "it was not set"
in_copy check && fail "CHANGELOG.md has no section of 12.34.56, which nobody noticed"
sed -i "s/^## .*/## 12.34.56, 2026-01-02/" "$work/CHANGELOG.md"
in_copy check || fail "set leaves a place out: $(cat "$work/said")"
for file in $files; do
	grep -n -e 12.34.56 -e 'VERSION_[MP].* [0-9]*$' "$work/$file" | sed 's/:.*//' >"$work/lines"
	[ -s "$work/lines" ] || fail "$file has no version"
	while read -r line; do
		cp "$work/$file" "$work/whole"
		sed -i "${line}s/12\|34\|56/9/g" "$work/$file"
		in_copy check && fail "$file:$line has another version, which nobody noticed"
		cp "$work/whole" "$work/$file"
	done <"$work/lines"
done
in_copy set 1.2 2>/dev/null && fail "1.2 was taken for a version"
[ $failed = 0 ] && echo "ok: $version"
exit $failed
