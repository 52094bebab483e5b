#!/bin/sh
# SPDX-License-Identifier: MIT
# Thread-local data of the libraries together. They are of the kind that
# dlopen() takes out of a reserve, which all libraries of a program share.
#
# check_tls.sh LIBRARY...
set -eu

most=64
total=0
for library in "$@"; do
	sizes=$(readelf -lW "$library" | awk '$1 == "TLS" { print $6 }')
	bytes=0
	for size in $sizes; do
		bytes=$((bytes + size))
	done
	echo "$library: $bytes bytes"
	total=$((total + bytes))
done
[ "$total" -gt 0 ] || { echo "FAILED: no thread-local data found"; exit 1; }
[ "$total" -le "$most" ] || { echo "FAILED: more than $most"; exit 1; }
