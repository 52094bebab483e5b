#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests gpumem on this machine's GPU, as the caller and, where the caller is
# root, as an ordinary user too. Exits 0 when all passed, 1 when something
# failed, 77 where there is no GPU.
#
#   tests/gpu/run.sh [--backend NAME] [--only PART,...] [--storm-count N]
#                    [--copy-count N] [--seed N] [--dry-run-sim]
#
# --backend NAME    kmod or rm (rm: it needs no kernel module)
# --only PART,...   these alone:
#                     tests  the command's demo and the library's tests
#                     kinds  which kinds of pointers work: a table
#                     torch  PyTorch's and CuPy's memory, where they are
#                     two    two GPUs in one process, where there are two
#                     storm  random sequences in several threads, leak checks
#                     cpu    each of the CPU's copy routines
#                     copies random copies in every way, each byte compared
#                     order  flags and data between the CPU and a running kernel
#                     sandbox  under a filter of system calls, in namespaces
# --storm-count N   sequences, instead of 100000 and, as the second user, 10000
# --copy-count N    copies, instead of 10000000 and, as the second user, 1000000
# --seed N          of the random tests
# --dry-run-sim     run everything on the simulated GPU instead, to test this
#                   script: it shows nothing about a real one
#
# The build is in GPUMEM_BUILD, build-gpu if it is not set.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${GPUMEM_BUILD:-$root/build-gpu}
# shellcheck source=tests/gpu/common.sh
. "$root/tests/gpu/common.sh"

backend="rm"
label=
all='tests kinds torch two storm cpu copies order sandbox'
parts=$all
storm_count=
copy_count=
seed=1
while [ $# -gt 0 ]; do
	case $1 in
	--backend | --only | --storm-count | --copy-count | --seed)
		[ $# -ge 2 ] || die "$1 wants a value"
		case $1 in
		--backend) backend=$2 ;;
		--only) parts=$(echo "$2" | tr ',' ' ') ;;
		--storm-count) storm_count=$2 ;;
		--copy-count) copy_count=$2 ;;
		--seed) seed=$2 ;;
		esac
		shift
		;;
	--dry-run-sim)
		backend=sim
		label=' (SIMULATED: a dry run, no real GPU)'
		;;
	--help)
		sed -n '3,/^set -u/s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	*)
		die "$1: no such option; --help tells which there are"
		;;
	esac
	shift
done
for part in $parts; do
	case " $all " in
	*" $part "*) ;;
	*) die "--only $part: no such part; there are $all" ;;
	esac
done

if [ "$backend" != sim ] && ! have_gpu; then
	say "skip - GPU tests: this machine has no NVIDIA GPU" \
		"(no /dev/nvidiactl)"
	exit 77
fi

passed=0
failed=0
skipped=0

# count WORD [NUMBER]
count()
{
	case $1 in
	ok) passed=$((passed + ${2:-1})) ;;
	not) failed=$((failed + ${2:-1})) ;;
	*) skipped=$((skipped + ${2:-1})) ;;
	esac
}

# check NAME COMMAND...: passes when the command exits 0.
check()
{
	name=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		say "ok - $name"
		count ok
	else
		status=$?
		say "not ok - $name: exit $status: $(tail -n 1 "$work/out")"
		sed 's/^/#   /' "$work/out"
		count not
	fi
}

# The programs and their libraries where any user can read them.
copy_for_all()
{
	mkdir -p "$work/bin" "$work/lib" "$work/sim" ||
		die "cannot write to $work"
	cp "$tool" "$root/tests/gpu/test_python.py" "$work/bin/"
	for program in test_gpu test_storm test_two pointer_kinds test_cpu \
		test_copies test_litmus sandbox; do
		cp "$(find_built $program)" "$work/bin/"
	done
	find "$build" \( -name 'libgpumem.so*' \) \( -type f -o -type l \) \
		! -path '*.p/*' -exec cp -P {} "$work/lib/" \;
	# Where the library looks for the simulated CUDA, from its own place.
	find "$build/sim" -name 'libcuda.so*' \( -type f -o -type l \) \
		-exec cp -P {} "$work/sim/" \;
	if [ -n "${GPUMEM_DEPS:-}" ]; then
		find "$GPUMEM_DEPS" -name 'libjson-c.so*' \
			-exec cp -P {} "$work/lib/" \;
	fi
	chmod -R a+rX "$work"
}

# counted NAME COMMAND...: a program that prints lines and counts them itself.
# Its lines appear as they come.
counted()
{
	name=$1
	shift
	say "## $name$label"
	{
		"$@" 2>&1
		echo "$?" >"$work/status"
	} | tee "$work/out" | grep --line-buffered -v '^# run '
	status=$(cat "$work/status")
	summary=$(sed -n \
		's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
		"$work/out")
	if [ -z "$summary" ]; then
		say "not ok - $name: ended early, exit $status," \
			"in: $(sed -n 's/^# run //p' "$work/out" | tail -n 1)"
		count not
		return
	fi
	# shellcheck disable=SC2086
	set -- $summary
	count ok "$1"
	count not "$2"
	count skip "$3"
	if [ "$status" -ne 0 ] && [ "$status" -ne 77 ] && [ "$2" -eq 0 ]; then
		say "not ok - $name: exit $status"
		count not
	fi
}

# The functions of the parts get the number of the user and the command that
# makes a process that user's.
part_tests()
{
	shift
	check "info as $who" "$@" "$work/bin/gpumem" info --backend "$backend"
	grep -v '^#' "$work/out" | sed 's/^/#   /'
	for job in 1:0 3:1 4096:0 4097:3 1M:0 1M:1 1000003:65535 64M:4095 \
		$big; do
		size=${job%:*}
		offset=${job#*:}
		check "demo of $size at offset $offset as $who" \
			"$@" "$work/bin/gpumem" demo --backend "$backend" \
			--size "$size" --offset "$offset"
		case $job in
		4096:0 | 1M:0 | 1G:0) sed 's/^/#   /' "$work/out" ;;
		esac
	done
	counted "test_gpu as $who" \
		"$@" "$work/bin/test_gpu" --backend "$backend" --seed "$seed"
}

part_kinds()
{
	shift
	check "kinds of pointers as $who" \
		"$@" "$work/bin/pointer_kinds" --backend "$backend"
	sed 's/^/#   /' "$work/out"
}

part_torch()
{
	shift
	if ! "$@" python3 -c '' >"$work/out" 2>&1; then
		say "skip - torch as $who: this user has no python3:" \
			"$(tail -n 1 "$work/out")"
		count skip
		return
	fi
	library=$(find "$work/lib" -name 'libgpumem.so.[0-9]' | head -n 1)
	counted "torch as $who" \
		"$@" python3 "$work/bin/test_python.py" --lib "$library" \
		--backend "$backend"
}

part_two()
{
	shift
	counted "two GPUs as $who" \
		"$@" "$work/bin/test_two" --backend "$backend" --seed "$seed"
}

# The second user's storm is shorter.
part_storm()
{
	number=$1
	shift
	sequences=${storm_count:-$storm_default}
	[ "$number" -eq 1 ] || [ -n "$storm_count" ] ||
		sequences=$((sequences / 10))
	# shellcheck disable=SC2086
	counted "storm as $who" \
		"$@" "$work/bin/test_storm" --backend "$backend" \
		--seed "$seed" --count "$sequences" $storm_options
}

part_cpu()
{
	shift
	check "the CPU's copy routines as $who" \
		"$@" "$work/bin/test_cpu" --backend "$backend"
}

# The second user's are fewer.
part_copies()
{
	number=$1
	shift
	copies=${copy_count:-$copy_default}
	[ "$number" -eq 1 ] || [ -n "$copy_count" ] || copies=$((copies / 10))
	counted "copies as $who" \
		"$@" "$work/bin/test_copies" --backend "$backend" \
		--seed "$seed" --count "$copies" --threads 8
}

part_order()
{
	shift
	counted "order as $who" "$@" "$work/bin/test_litmus" --backend "$backend"
}

# It changes users by itself.
part_sandbox()
{
	number=$1
	shift
	[ "$number" -eq 1 ] || return 0
	check "sandbox" "$@" "$root/tests/gpu/sandbox.sh" \
		"$work/bin/sandbox" --backend "$backend"
	sed 's/^/#   /' "$work/out"
}

# run_parts NUMBER WHO COMMAND...: through a command that changes the user.
run_parts()
{
	number=$1
	who=$2
	shift 2
	say "## as $who, backend $backend$label"
	for part in $parts; do
		start=$(date +%s)
		"part_$part" "$number" "$@"
		say "# $part as $who took $(($(date +%s) - start)) s$label"
	done
}

build_all
use_libcuda
print_machine

make_work gpumem-gpu
copy_for_all
LD_LIBRARY_PATH=$work/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

# A GPU that hangs must not hang the rest.
limit='env'
! command -v timeout >/dev/null 2>&1 || limit='timeout 500'

# A dry run need not move gigabytes, and has the GPUs that it wants.
big=1G:0
storm_default=100000
copy_default=10000000
storm_options=
if [ "$backend" = sim ]; then
	big=
	storm_default=500
	copy_default=20000
	storm_options='--max 2097152 --threads 2'
	GPUMEM_SIM_GPUS=2
	export GPUMEM_SIM_GPUS
fi

# shellcheck disable=SC2086
if [ "$(id -u)" -eq 0 ]; then
	run_parts 1 root $limit
	run_parts 2 "uid 65534" as_ordinary $limit
else
	run_parts 1 "uid $(id -u)" $limit
fi

say "$passed passed, $failed failed, $skipped skipped$label"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
