#!/bin/sh
# SPDX-License-Identifier: MIT
# Measures gpumem on this machine's GPU; text and JSON stay in BUILD/bench.
# Exits 0 when everything ran, 1 when something failed, 77 without a GPU.
#
#   bench/run.sh [--backend NAME] [--dry-run-sim]
#
# --backend NAME   kmod or rm (rm: it needs no kernel module)
# --dry-run-sim    run everything on the simulated GPU instead, to test this
#                  script: its figures say nothing about a real one
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$root/build-gpu}
. "$root/tests/gpu/common.sh"

backend="rm"
label=
big=1G
while [ $# -gt 0 ]; do
	case $1 in
	--backend)
		[ $# -ge 2 ] || die "--backend wants a name"
		backend=$2
		shift
		;;
	--dry-run-sim)
		backend=sim
		label=' (SIMULATED: a dry run, no real GPU)'
		big=64M
		;;
	*)
		die "$1: no such option; there are --backend and --dry-run-sim"
		;;
	esac
	shift
done

if [ "$backend" != sim ] && ! have_gpu; then
	say "skip - GPU measurements: this machine has no NVIDIA GPU" \
		"(no /dev/nvidiactl)"
	exit 77
fi

failed=0

# measure NAME SUFFIX COMMAND...: output into a file, and to the screen.
measure()
{
	file=$out/$1.$2
	shift 2
	if "$@" >"$file" 2>"$out/stderr"; then
		say "## ${file##*/}$label"
		case $file in
		*.txt) cat "$file" ;;
		esac
	else
		say "not ok - $*: exit $?: $(tail -n 1 "$out/stderr")"
		failed=$((failed + 1))
	fi
	rm -f "$out/stderr"
}

build_all
use_libcuda
out=$build/bench
mkdir -p "$out" || exit 1

print_machine | tee "$out/machine.txt"
json=yes
if ! "$tool" info --json >/dev/null 2>&1; then
	say "# no JSON: $("$tool" info --json 2>&1 | tail -n 1)"
	json=
fi

measure pin txt "$tool" bench pin --backend "$backend" \
	--size 1M --size 4K --size 64K --size 64M --size "$big"
for size in 4K 1M "$big"; do
	measure "demo-$size" txt "$tool" demo --backend "$backend" \
		--size "$size"
done
if [ -n "$json" ]; then
	measure pin json "$tool" bench pin --backend "$backend" \
		--size 1M --size 4K --size 64K --size 64M --size "$big"
	for size in 4K 1M "$big"; do
		measure "demo-$size" json "$tool" demo --json \
			--backend "$backend" --size "$size"
	done
fi
say "results in $out$label"
[ "$failed" -eq 0 ]
