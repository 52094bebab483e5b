#!/bin/sh
# SPDX-License-Identifier: MIT
# The law of lib/: open > channel, result > copy, backend > core > cpu, cuda > base.
# A file includes from its own folder and from layers below it, copy and backend know
# nothing of each other, and each include names its folder. abi/ is for all.
#
# check_layers.sh SOURCE-ROOT
set -u

cd "$1" || exit 1

find lib -name '*.[ch]' | sort | xargs awk '
function layer(folder) {
	return folder in rank ? rank[folder] : rank["open"]
}
BEGIN {
	rank["base"] = 0
	rank["cpu"] = rank["cuda"] = 1
	rank["core"] = 2
	rank["copy"] = rank["backend"] = 3
	rank["channel"] = rank["result"] = 4
	rank["open"] = 5
}
/^[ \t]*#[ \t]*include[ \t]+"/ {
	split($0, quoted, "\"")
	split(FILENAME, here, "/")
	folders = split(quoted[2], there, "/")
	from = here[3] == "" ? "open" : here[2]
	to = there[1]
	if (to == "abi" || quoted[2] ~ /^(gpumem|linux\/gpumem)\.h$/)
		next
	looked++
	if (folders < 2 && from == "open")
		next
	if (folders < 2) {
		print FILENAME ": \"" quoted[2] "\" does not name its folder"
		failed = 1
	} else if (to != from && layer(to) >= layer(from)) {
		print FILENAME ": \"" quoted[2] "\" is not below " from
		failed = 1
	}
}
END {
	if (looked < 100) {
		print looked + 0 " includes found: this is not the tree"
		failed = 1
	}
	print (failed ? "FAILED: " : "ok: ") looked + 0 " includes"
	exit failed
}'
