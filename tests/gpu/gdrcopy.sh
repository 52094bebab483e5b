#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds GDRCopy's own test programs, unchanged and with its own headers, and
# runs them on libgdrapi; and measures its copies beside GDRCopy's. Exits 0 when
# all that ran passed, 1 when something failed, 77 where nothing could run.
#
#   GPUMEM_GDRCOPY_SRC=<source tree of GDRCopy> tests/gpu/gdrcopy.sh
#	[--only PROGRAM,...] [--dry-run-sim]
#
# --only PROGRAM,...  of sanity copybw copylat apiperf pplat speed
# --dry-run-sim       on the simulated GPU: it shows nothing about a real one
#
# GPUMEM_GDRCOPY_SRC  GDRCopy's tag v2.6 (93c606bbcaa1) or its master of
#		      2026-06-15 (fcec3ce0bb40), which has the same files.
#		      Nothing is written into it.
# GPUMEM_CUDA         the CUDA toolkit's folder (nvcc's, or /usr/local/cuda).
#		      Without nvcc there, pplat is skipped.
# GPUMEM_BUILD        the folder to build gpumem in (build-gpu)
#
# Each program, and each test of sanity, has a time limit.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${GPUMEM_BUILD:-$root/build-gpu}
# shellcheck source=tests/gpu/common.sh
. "$root/tests/gpu/common.sh"

all_programs='sanity copybw copylat apiperf pplat speed'
programs=$all_programs
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
[ -n "$programs" ] || die "--only: no program; there are $all_programs"
for program in $programs; do
	case " $all_programs " in
	*" $program "*) ;;
	*) die "--only $program: no such program; there are $all_programs" ;;
	esac
done

find_cuda()
{
	nvcc=$(command -v nvcc) && nvcc=$(readlink -f "$nvcc")
	for dir in "${GPUMEM_CUDA:-}" "${nvcc%/bin/nvcc}" /usr/local/cuda; do
		if [ -n "$dir" ] && [ -f "$dir/include/cuda.h" ]; then
			say "$dir"
			return 0
		fi
	done
	return 1
}

if [ -z "${GPUMEM_GDRCOPY_SRC:-}" ]; then
	say "skip - GDRCopy's tests: GPUMEM_GDRCOPY_SRC names no source tree of it"
	exit 77
fi
source=$(cd "$GPUMEM_GDRCOPY_SRC" && pwd) ||
	die "GPUMEM_GDRCOPY_SRC: no such folder"
for file in include/gdrapi.h src/gdrapi.c tests/sanity.cpp; do
	[ -f "$source/$file" ] ||
		die "GPUMEM_GDRCOPY_SRC: $source has no $file"
done
if [ -z "$backend" ] && ! have_gpu; then
	say "skip - GDRCopy's tests: this machine has no NVIDIA GPU"
	exit 77
fi
cuda=$(find_cuda) ||
	die "no include/cuda.h is found; set GPUMEM_CUDA to the toolkit's folder"

# shellcheck disable=SC2034 # build_all reads it
targets='tools/gpumem:executable compat/gdrapi/gdrapi:shared_library
	sim/cuda:shared_library'
build_all
cuda_dir=
use_libcuda
print_machine

work=$(mktemp -d "${TMPDIR:-/tmp}/gpumem-gdrcopy.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
library=$(dirname "$(find "$build/compat" -name libgdrapi.so)")
core=$(dirname "$(find "$build/lib" -name libgpumem.so.0)")
LD_LIBRARY_PATH=$library:$core:$cuda/lib64:$cuda/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
libcuda=$cuda_dir/libcuda.so.1
if [ "$backend" = sim ]; then
	LD_LIBRARY_PATH=$build/sim:$LD_LIBRARY_PATH
	libcuda=$build/sim/libcuda.so.1
	GPUMEM_BACKEND=sim
	export GPUMEM_BACKEND
fi
export LD_LIBRARY_PATH
# Programs are linked with the toolkit's stand-in, where it is there.
for dir in "$cuda/lib64/stubs" "$cuda/lib/stubs"; do
	[ ! -f "$dir/libcuda.so" ] || libcuda=$dir/libcuda.so
done
[ -f "$libcuda" ] ||
	die "no libcuda: neither the driver's nor stubs/libcuda.so in $cuda"
ln -s "$libcuda" "$work/libcuda.so"

say "# CUDA in $cuda"
say "# GDRCopy $(sed -n \
	's/^#define GDR_API_\(MAJOR\|MINOR\)_VERSION *\([0-9]*\).*/\2/p' \
	"$source/include/gdrapi.h" | tr '\n' '.' | sed 's/\.$//') from its" \
	"source; these tests are for its tag v2.6 (93c606bbcaa1)"

passed=0
failed=0
skipped=0
result()
{
	case $1 in
	ok) passed=$((passed + 1)) ;;
	skip) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
	say "$1 - $2$label"
}

show_log()
{
	sed 's/^/#   /' "$work/log"
}

# compile_program PROGRAM SOURCE-FILE
compile_program()
{
	output=$work/$1
	if [ "$1" = sanity ]; then
		set -- "$@" "$source"/tests/testsuites/*.cpp
	fi
	shift
	case $1 in
	*.cu)
		architecture=native
		[ "$backend" != sim ] || architecture=sm_90
		set -- "$cuda/bin/nvcc" "-arch=$architecture" "$@"
		;;
	*)
		# shellcheck disable=SC2086 # a command and its options
		set -- ${CXX:-c++} -pthread "$@"
		;;
	esac
	"$@" "$source/tests/common.cpp" -O2 -I"$source/include" \
		-I"$source/src" -I"$source/src/gdrdrv" -I"$cuda/include" \
		-I"$source/tests" -o "$output" -L"$library" -L"$core" \
		-L"$work" -lgdrapi -lgpumem -lcuda -lpthread -ldl
}

# GDRCopy's copies, each file with the instructions that it asks for.
compile_theirs()
{
	for isa in sse sse41:sse4.1 avx avx2 avx512:avx512f movdir64b; do
		routine=memcpy_${isa%:*}
		${CC:-cc} -O2 -fPIC -fvisibility=hidden -m"${isa#*:}" \
			-c "$source/src/$routine.c" -o "$work/$routine.o" ||
			return 1
	done
	${CC:-cc} -O2 -fPIC -fvisibility=hidden -shared \
		-DCOMPILED_MOVDIR64B=1 -I"$source/include" \
		-I"$source/src" -I"$source/src/gdrdrv" -I"$cuda/include" \
		"$root/tests/gpu/gdrcopy_theirs.c" \
		"$source/src/cuda_wrapper.c" "$work"/memcpy_*.o \
		-o "$work/libtheirs.so" -ldl
}

compile_speed()
{
	compile_theirs && ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -Wall \
		-Wextra -Wno-unused-parameter -I"$root/include" \
		-I"$root/tools" -I"$root/compat/gdrapi" \
		"$root/tests/gpu/gdrcopy_speed.c" "$root/tests/gpu/fresh.c" \
		"$root/tests/gpu/gpu.c" \
		"$root/tools/cuda.c" -o "$work/speed" -L"$library" -L"$core" \
		-L"$work" -Wl,-rpath,"$work" -lgdrapi -lgpumem -ltheirs \
		-lpthread -ldl
}

# compile PROGRAM SOURCE-FILE: speed is ours, and the only one without.
compile()
{
	case $1 in
	speed) compile_speed ;;
	*) compile_program "$1" "$2" ;;
	esac
}

limit()
{
	if command -v timeout >/dev/null 2>&1; then
		timeout -k 10 "$@"
	else
		shift
		"$@"
	fi
}

# Tests of sanity leave their process group, and a limit does not reach them.
end_left()
{
	for process in /proc/[0-9]*; do
		[ "$(readlink "$process/exe" 2>/dev/null)" != "$work/$1" ] ||
			kill -9 "${process#/proc/}" 2>/dev/null
	done
}

# sanity_test NAME
sanity_test()
{
	limit 60 "$work/sanity" -v -s -t "$1" >"$work/log" 2>&1
	status=$?
	end_left sanity
	if [ "$status" -eq 0 ] && grep -q "^&&&& WAIVED $1\$" "$work/log"; then
		why=$(grep -iE 'waiv' "$work/log" | grep -v '^&&&&' |
			head -n 1 | cut -c 1-120)
		result skip "sanity $1: it waives itself${why:+: $why}"
	elif [ "$status" -eq 0 ] && grep -q "^&&&& PASSED $1\$" "$work/log"; then
		result ok "sanity $1"
	else
		tail -n 40 "$work/log" >"$work/tail"
		mv "$work/tail" "$work/log"
		show_log
		case $status in
		124 | 137) why='over its time of 60 s' ;;
		*) why="exit $status" ;;
		esac
		result 'not ok' "sanity $1: $why"
	fi
}

# All of them, those too that it leaves out by itself.
run_sanity()
{
	before="$passed $failed $skipped"
	names=$("$work/sanity" -l 2>"$work/log" | sed -n 's/^ \{4\}//p')
	if [ -z "$names" ]; then
		show_log
		result 'not ok' 'sanity: it lists no tests'
		return
	fi
	for name in $names; do
		sanity_test "$name"
	done
	# shellcheck disable=SC2086
	set -- $before
	say "# sanity: $(echo "$names" | wc -l) tests: $((passed - $1)) passed, $((failed - $2)) failed, $((skipped - $3)) skipped$label"
}

# run_program PROGRAM [ARGUMENT...]
run_program()
{
	what=$1
	shift
	limit 240 "$work/$what" "$@" >"$work/log" 2>&1
	status=$?
	show_log
	# They go on after other data came back.
	if [ "$status" -eq 0 ] && grep -q 'content expected' "$work/log"; then
		result 'not ok' "$what: other data came back"
		return
	fi
	case $what:$status in
	*:0) result ok "$what" ;;
	speed:77)
		why=$(sed -n 's/^skip - //p' "$work/log" | head -n 1)
		result skip "$what: ${why:-exit 77}"
		;;
	speed:2) result 'not ok' "$what: exit 2" ;;
	*:2) result skip "$what: it waives itself (exit 2)" ;;
	*:124 | *:137) result 'not ok' "$what: over its time of 240 s" ;;
	*) result 'not ok' "$what: exit $status" ;;
	esac
}

# run PROGRAM
run()
{
	case $backend:$1 in
	*:sanity) run_sanity ;;
	sim:pplat)
		result skip "pplat: it builds; the simulated GPU runs no kernels"
		;;
	# Fewer rounds: of what comes back there, only the data counts.
	sim:copybw | sim:copylat) run_program "$1" -w 100 -r 100 ;;
	*) run_program "$1" ;;
	esac
}

# source_of PROGRAM: the file in GDRCopy's source, or nothing.
source_of()
{
	for suffix in cpp cu; do
		if [ -f "$source/tests/$1.$suffix" ]; then
			say "$source/tests/$1.$suffix"
			return
		fi
	done
}

for program in $programs; do
	file=
	[ "$program" = speed ] || file=$(source_of "$program")
	if [ "$program" = speed ] && [ "$(uname -m)" != x86_64 ]; then
		result skip "speed: it knows GDRCopy's routines for x86-64 only"
	elif [ "$program" != speed ] && [ -z "$file" ]; then
		result skip "$program: this source does not have it"
	elif [ "$file" != "${file%.cu}" ] && [ ! -x "$cuda/bin/nvcc" ]; then
		result skip "$program: $cuda has no bin/nvcc"
	elif compile "$program" "$file" >"$work/log" 2>&1; then
		say "## $program$label"
		run "$program"
	else
		show_log
		why=$(grep -m 1 -E \
			'error: |fatal|undefined reference|cannot find' \
			"$work/log")
		result 'not ok' "$program: it does not build${why:+: $why}"
	fi
done

say "$passed passed, $failed failed, $skipped skipped$label"
[ "$failed" -eq 0 ] || exit 1
[ "$passed" -gt 0 ] || exit 77
