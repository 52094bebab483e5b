#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds GDRCopy's own test programs, unchanged and with its own headers, and
# runs them on libgdrapi. Exits 0 when all passed, 1 when something failed, 77
# where there is no GPU or no source of GDRCopy.
#
#   GDRCOPY_SRC=<source tree of GDRCopy 2.6> tests/gpu/gdrcopy.sh
#	[--only PROGRAM,...] [--dry-run-sim]
#
# --only PROGRAM,...  of sanity copybw copylat apiperf pplat
# --dry-run-sim       on the simulated GPU: it shows nothing about a real one
#
# CUDA names the toolkit's folder (/usr/local/cuda). Without nvcc there, pplat
# is left out.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$root/build-gpu}
cuda=${CUDA:-/usr/local/cuda}
# shellcheck source=tests/gpu/common.sh
. "$root/tests/gpu/common.sh"

programs='sanity copybw copylat apiperf pplat'
backend=
label=
while [ $# -gt 0 ]; do
	case $1 in
	--only)
		[ $# -ge 2 ] || die "$1 wants a value"
		programs=$(echo "$2" | tr ',' ' ')
		shift
		;;
	--dry-run-sim)
		backend=sim
		label=' (SIMULATED: a dry run, no real GPU)'
		;;
	*)
		sed -n '3,/^set -u/s/^# \{0,1\}//p' "$0"
		exit 2
		;;
	esac
	shift
done

if [ -z "${GDRCOPY_SRC:-}" ]; then
	say "skip - GDRCopy's tests: GDRCOPY_SRC names no source tree of it"
	exit 77
fi
source=$(cd "$GDRCOPY_SRC" && pwd) || die "GDRCOPY_SRC: no such folder"
[ -f "$source/include/gdrapi.h" ] && [ -f "$source/tests/sanity.cpp" ] ||
	die "GDRCOPY_SRC: $source has no include/gdrapi.h and tests/sanity.cpp"
if [ -z "$backend" ] && ! have_gpu; then
	say "skip - GDRCopy's tests: this machine has no NVIDIA GPU"
	exit 77
fi
[ -f "$cuda/include/cuda.h" ] || die "CUDA: $cuda has no include/cuda.h"

# shellcheck disable=SC2034 # build_all reads it
targets='tools/gpumem:executable compat/gdrapi/gdrapi:shared_library
	sim/cuda:shared_library'
build_all
use_libcuda
print_machine

work=$(mktemp -d "${TMPDIR:-/tmp}/gpumem-gdrcopy.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
library=$(dirname "$(find "$build/compat" -name libgdrapi.so)")
core=$(dirname "$(find "$build/lib" -name libgpumem.so.0)")
LD_LIBRARY_PATH=$library:$core:$cuda/lib64:$cuda/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
if [ "$backend" = sim ]; then
	LD_LIBRARY_PATH=$build/sim:$LD_LIBRARY_PATH
	GPUMEM_BACKEND=sim
	export GPUMEM_BACKEND
fi
export LD_LIBRARY_PATH

say "# GDRCopy $(sed -n \
	's/^#define GDR_API_\(MAJOR\|MINOR\)_VERSION *\([0-9]*\).*/\2/p' \
	"$source/include/gdrapi.h" | tr '\n' '.' | sed 's/\.$//') from its source"

# compile PROGRAM SOURCE
compile()
{
	set -- "$1" "$2" "$source/tests/common.cpp"
	for part in "$source"/tests/testsuites/*.cpp; do
		[ "$1" = sanity ] && [ -f "$part" ] && set -- "$@" "$part"
	done
	output=$1
	shift
	compiler="${CXX:-c++} -pthread"
	case $1 in
	*.cu) compiler="$cuda/bin/nvcc -arch=native" ;;
	esac
	# shellcheck disable=SC2086
	$compiler -O2 -I"$source/include" -I"$source/src" \
		-I"$source/src/gdrdrv" -I"$cuda/include" -I"$source/tests" \
		"$@" -o "$work/$output" -L"$library" -L"$core" \
		-L"$cuda/lib64" -L"$cuda/lib" -L"$cuda/lib64/stubs" \
		-L"$cuda/lib/stubs" -lgdrapi -lgpumem -lcudart -lcuda \
		-lpthread -ldl
}

limit=
! command -v timeout >/dev/null 2>&1 || limit='timeout 300'
passed=0
failed=0
skipped=0
for program in $programs; do
	file=$(ls "$source/tests/$program.cpp" "$source/tests/$program.cu" \
		2>/dev/null | head -n 1)
	if [ -z "$file" ]; then
		say "skip - $program: this source does not have it"
		skipped=$((skipped + 1))
		continue
	fi
	if [ "$file" != "${file%.cu}" ] && [ ! -x "$cuda/bin/nvcc" ]; then
		say "skip - $program: $cuda has no bin/nvcc"
		skipped=$((skipped + 1))
		continue
	fi
	if ! compile "$program" "$file" >"$work/log" 2>&1; then
		say "not ok - $program: it does not build"
		sed 's/^/#   /' "$work/log"
		failed=$((failed + 1))
		continue
	fi
	case $program in
	sanity) set -- -v ;;
	*) set -- ;;
	esac
	say "## $program$label"
	# shellcheck disable=SC2086
	$limit "$work/$program" "$@" >"$work/log" 2>&1
	status=$?
	sed 's/^/#   /' "$work/log"
	if [ "$status" -eq 0 ]; then
		say "ok - $program$label"
		passed=$((passed + 1))
	else
		say "not ok - $program: exit $status$label"
		failed=$((failed + 1))
	fi
done

say "$passed passed, $failed failed, $skipped skipped$label"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
