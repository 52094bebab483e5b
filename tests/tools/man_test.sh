#!/bin/sh
# SPDX-License-Identifier: MIT
# gpumem(3) describes every function that the library exports, and no other; every
# constant, structure and error that the header names is in it.
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
constants=$(grep -oE '^#define GPUMEM_[A-Z0-9_]+ ' "$1" | awk '{print $2}' | sort -u)
structures=$(grep -oE '^struct gpumem[a-z_]*' "$1" | sort -u)
errors=$(grep -cE '^ \*   -E[A-Z]+ ' "$1")
declared=$constants
compare "the manual's constants" \
	"$(grep -E '^\.It Dv' "$3" | grep -oE 'GPUMEM_[A-Z0-9_]+' | sort -u)"
declared=$structures
compare "the manual's structures" "$(sed -nE 's/^\.(Ss|It Vt) (struct gpumem[a-z_]*)$/\2/p' "$3" | sort -u)"
declared=$errors
compare "the manual's errors" "$(grep -cE '^\.It Bq Er -E' "$3")"
exit $failed
