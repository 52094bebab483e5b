#!/bin/sh
# SPDX-License-Identifier: MIT
# The functions of include/gpumem.h, lib/libgpumem.map and what the library
# exports are the same.
#
# check_symbols.sh SOURCE-ROOT LIBRARY
set -eu

root=$1
library=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prototypes: a name of ours before a parenthesis, outside comments.
sed 's,/\*.*\*/,,; /\/\*/,/\*\//d' "$root/include/gpumem.h" |
	grep -o 'gpumem_[a-z0-9_]* *(' | tr -d ' (' | sort >"$work/header"
grep -o '^[[:space:]]*gpumem_[a-z0-9_]*;' "$root/lib/libgpumem.map" |
	tr -d ' \t;' | sort >"$work/map"
nm -D --defined-only --with-symbol-versions "$library" |
	awk '$2 != "A" { print $3 }' | sort >"$work/exported"
sed 's/@.*//' "$work/exported" >"$work/library"

failed=0
for other in map library; do
	if ! diff -u "$work/header" "$work/$other"; then
		echo "FAILED: include/gpumem.h and the $other differ"
		failed=1
	fi
done
if grep -v '@@GPUMEM_[0-9.]*$' "$work/exported"; then
	echo "FAILED: a symbol has no version"
	failed=1
fi
if nm -D --undefined-only "$library" | grep ' getenv@'; then
	echo "FAILED: the environment is read by getenv(), not secure_getenv()"
	failed=1
fi
[ -s "$work/header" ] || { echo "FAILED: no prototypes found"; failed=1; }
echo "$(wc -l <"$work/header") functions"
exit $failed
