#!/bin/bash
# SPDX-License-Identifier: MIT
# Fails, naming them, if a module uses symbols that the kernel has for GPL
# modules alone: module-gpl.sh MODULE.ko KERNEL_BUILD_FOLDER
set -euo pipefail

[ -s "$2/Module.symvers" ] || { echo "module-gpl: $2 has no Module.symvers" >&2; exit 2; }
used=$(nm -u "$1" | awk '{print $2}' | sort)
[ -n "$used" ] || { echo "module-gpl: $1 uses no symbol at all" >&2; exit 2; }
bad=$(comm -12 <(echo "$used") \
	<(awk -F '\t' '$4 != "EXPORT_SYMBOL" {print $2}' "$2/Module.symvers" | sort))
[ -z "$bad" ] || {
	echo "$1 uses GPL-only symbols: ${bad//$'\n'/ }" >&2
	exit 1
}
