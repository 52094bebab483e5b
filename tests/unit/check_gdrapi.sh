#!/bin/sh
# SPDX-License-Identifier: MIT
# libgdrapi: its header, its map and its exports agree, it is called what its
# clients load, and it takes nothing of gpumem but include/gpumem.h.
#
# check_gdrapi.sh SOURCE-ROOT LIBRARY
set -eu

room=$1/compat/gdrapi
library=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

fail()
{
	echo "FAILED: $*"
	failed=1
}

# The old gdr_get_info is beside the header's functions: a macro hides it.
{
	sed 's,/\*.*\*/,,; /\/\*/,/\*\//d' "$room/gdrapi.h" |
		grep -o 'gdr_[a-z0-9_]* *(' | tr -d ' ('
	echo gdr_get_info
} | sort >"$work/header"
grep -o '^[[:space:]]*gdr_[a-z0-9_]*;' "$room/libgdrapi.map" |
	tr -d ' \t;' | sort >"$work/map"
nm -D --defined-only --with-symbol-versions "$library" |
	awk '{ print $3 }' | sort >"$work/library"
for other in map library; do
	diff -u "$work/header" "$work/$other" ||
		fail "gdrapi.h and the $other differ"
done
[ "$(wc -l <"$work/header")" -eq 20 ] || fail "there are not 20 functions"

readelf -d "$library" >"$work/dynamic"
grep -q 'SONAME.*\[libgdrapi\.so\.2\]' "$work/dynamic" ||
	fail "the soname is not libgdrapi.so.2"
[ -e "$(dirname "$library")/libgdrapi.so.2.6" ] ||
	fail "the file is not libgdrapi.so.2.6"
grep 'NEEDED' "$work/dynamic" | grep -E 'cuda|nvidia' &&
	fail "it links with CUDA"
nm -D --undefined-only "$library" | grep -q ' gpumem_pin@' ||
	fail "it does not use libgpumem"
# The environment of a program that runs with more rights than its user has.
nm -D --undefined-only "$library" | grep -q ' getenv@' &&
	fail "it reads the environment by getenv()"
grep -nE '#include "\.\./' "$room"/*.[ch] &&
	fail "it looks into other rooms"
exit $failed
