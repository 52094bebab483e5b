#!/bin/sh
# SPDX-License-Identifier: MIT
# gpumem(3) describes every function that the library exports, and no other.
#
#   man_test.sh HEADER SYMBOL_MAP GPUMEM.3
set -u

[ $# -eq 3 ] || {
	echo "usage: $0 HEADER SYMBOL_MAP GPUMEM.3" >&2
	exit 2
}
declared=$(grep -oE '^[a-z].*[ *]gpumem_[a-z0-9_]+\(' "$1" |
	grep -oE 'gpumem_[a-z0-9_]+' | sort -u)
exported=$(grep -oE 'gpumem_[a-z0-9_]+;' "$2" | tr -d ';' | sort -u)
named=$(sed -n 's/^\.Nm \(gpumem_[a-z0-9_]*\).*/\1/p' "$3" | sort -u)
shown=$(sed -n 's/^\.F[no] \(gpumem_[a-z0-9_]*\).*/\1/p' "$3" | sort -u)

[ -n "$declared" ] || {
	echo "no functions found in $1"
	exit 1
}
failed=0
compare()
{
	[ "$declared" = "$2" ] && return
	echo "$1 and the header differ; the header has:"
	echo "$declared"
	echo "$1:"
	echo "$2"
	failed=1
}
compare "the symbol map" "$exported"
compare "NAME in the manual" "$named"
compare "the manual's functions" "$shown"
exit $failed
