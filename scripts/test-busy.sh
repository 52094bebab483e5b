#!/bin/sh
# SPDX-License-Identifier: MIT
# Every test beside four busy processes a core: they all pass, for none depends on
# how fast the machine is. Takes several times as long as make test.
# usage: test-busy.sh BUILD
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh
build=$1
busy=$((4 * $(nproc)))

say "make test-busy: make test beside $busy busy processes (an hour)"
pids=
i=0
while [ $i -lt $busy ]; do
	sh -c 'while kill -0 "$0" 2>/dev/null; do
		i=0
		while [ $i -lt 100000 ]; do i=$((i + 1)); done
	done' $$ &
	pids="$pids $!"
	i=$((i + 1))
done
# shellcheck disable=SC2064,SC2086 # now; words
trap "kill $pids 2>/dev/null; common_end" EXIT
scripts/test.sh "$build"
