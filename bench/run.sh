#!/bin/sh
# SPDX-License-Identifier: MIT
# Measures gpumem on this machine's GPU; text and JSON stay in bench/ of
# the build, which is in GPUMEM_BUILD, or build-gpu if that is not set.
# Exits 0 when everything ran, 1 when something failed, 77 without a GPU.
#
#   bench/run.sh [--backend NAME] [--dry-run-sim]
#
# --backend NAME   kmod or rm (rm: it needs no kernel module)
# --dry-run-sim    run a little of everything on the simulated GPU instead, to
#                  test this script: its figures say nothing about a real one
#
# About six minutes on an H100. Where there is gnuplot the copies are drawn into
# bench/plots there (scripts/setup.sh bench installs it); bench/plot.sh draws
# them later and elsewhere from bench/copy.json.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
build=${GPUMEM_BUILD:-$root/build-gpu}
# shellcheck source=tests/gpu/common.sh
. "$root/tests/gpu/common.sh"

backend="rm"
label=
big=1G
small=
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
		small=yes
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
trap 'rm -f "$out/stderr"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$out" || exit 1

print_machine | tee "$out/machine.txt"
json=yes
if ! "$tool" info --json >/dev/null 2>&1; then
	say "# no JSON: $("$tool" info --json 2>&1 | tail -n 1)"
	json=
fi

# both NAME COMMAND...: as text, and once more as JSON.
both()
{
	name=$1
	shift
	measure "$name" txt "$@"
	[ -z "$json" ] || measure "$name" json "$@" --json
}

# The copies are measured once; their JSON object goes into a file beside.
copies()
{
	if [ -n "$json" ]; then
		set -- "$@" --save "$out/copy.json"
	fi
	measure copy txt "$tool" bench copy --targets --backend "$backend" "$@"
	if [ -n "$json" ] && command -v gnuplot >/dev/null 2>&1; then
		GPUMEM_TOOL=$tool "$root/bench/plot.sh" "$out/copy.json" \
			"$out/plots" || failed=$((failed + 1))
	else
		say "# not drawn: that takes gnuplot, and JSON"
	fi
}

# The loops too; those of PyTorch where it is.
loops()
{
	if [ -n "$json" ]; then
		set -- "$@" --save "$out/loops.json"
	fi
	measure loops txt "$tool" bench loops --backend "$backend" "$@"
}

torch()
{
	library=$(find "$build" -name 'libgpumem.so.[0-9]' ! -path '*.p/*' |
		head -n 1)
	python3 "$root/tests/gpu/bench_torch.py" --lib "$library" \
		--backend "$backend" >"$out/torch.txt" 2>"$out/stderr"
	status=$?
	case $status in
	0)
		say "## torch.txt$label"
		cat "$out/torch.txt"
		;;
	77)
		say "# not measured: $(tail -n 1 "$out/torch.txt")"
		rm -f "$out/torch.txt"
		;;
	*)
		say "not ok - PyTorch's loop: exit $status:" \
			"$(tail -n 1 "$out/stderr")"
		failed=$((failed + 1))
		;;
	esac
	rm -f "$out/stderr"
}

both pin "$tool" bench pin --backend "$backend" \
	--size 1M --size 4K --size 64K --size 64M --size "$big"
for size in 4K 1M "$big"; do
	both "demo-$size" "$tool" demo --backend "$backend" --size "$size"
done
if [ -n "$small" ]; then
	both api "$tool" bench api --backend "$backend" --rounds 20
	copies --max 64K --time 5
	both threads "$tool" bench threads --backend "$backend" --size 64K \
		--time 5
	both stall "$tool" bench stall --backend "$backend" --seconds 1
	loops --time 1 --large 1M
	say "# not measured: the ping-pong, which takes a GPU that runs kernels," \
		"and PyTorch's loop"
else
	both api "$tool" bench api --backend "$backend"
	copies
	both pingpong "$tool" bench pingpong --backend "$backend"
	both threads "$tool" bench threads --backend "$backend"
	both stall "$tool" bench stall --backend "$backend"
	loops
	torch
	measure tune txt "$tool" tune --dry-run --backend "$backend"
fi
say "results in $out$label"
[ "$failed" -eq 0 ]
