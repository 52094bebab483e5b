#!/bin/sh
# SPDX-License-Identifier: MIT
# The table of docs/sandbox.md is what the filter lets pass.
#
#   sandbox_doc.sh SANDBOX SANDBOX.MD [--write]
#
# --write   puts the table of the filter into the document
set -eu

found=$("$1" --list)
want=$(sed -n '/^<!-- made by/,/^<!-- end/p' "$2" | sed '1d;$d')
if [ "${3:-}" = --write ]; then
	{
		sed '/^<!-- made by/q' "$2"
		printf '%s\n' "$found"
		sed -n '/^<!-- end/,$p' "$2"
	} >"$2.new"
	mv "$2.new" "$2"
	exit 0
fi
[ "$found" = "$want" ] && exit 0
echo "the filter's table is another than that of $2; write it anew:"
echo "$0 $1 $2 --write"
exit 1
