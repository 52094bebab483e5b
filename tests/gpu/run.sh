#!/bin/sh
# SPDX-License-Identifier: MIT
# Tests gpumem on this machine's GPU, as the caller and, where the caller is
# root, as an ordinary user too. Exits 0 when all passed, 1 when something
# failed, 77 where there is no GPU.
#
#   tests/gpu/run.sh [--backend NAME] [--dry-run-sim]
#
# --backend NAME   kmod or rm (rm: it needs no kernel module)
# --dry-run-sim    run everything on the simulated GPU instead, to test this
#                  script: it shows nothing about a real one
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$root/build-gpu}
. "$root/tests/gpu/common.sh"

backend="rm"
label=
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
		;;
	*)
		die "$1: no such option; there are --backend and --dry-run-sim"
		;;
	esac
	shift
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

# The command and its libraries where any user can read them.
copy_for_all()
{
	mkdir -p "$work/bin" "$work/lib" "$work/sim" ||
		die "cannot write to $work"
	cp "$tool" "$(find_built test_gpu)" "$work/bin/"
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

# run_tests WHO COMMAND...: all tests, through a command that changes the user.
run_tests()
{
	who=$1
	shift
	say "## as $who, backend $backend$label"
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
	say "## test_gpu as $who$label"
	"$@" "$work/bin/test_gpu" --backend "$backend" >"$work/out" 2>&1
	status=$?
	grep -v '^# run ' "$work/out"
	summary=$(sed -n \
		's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' \
		"$work/out")
	if [ -z "$summary" ]; then
		say "not ok - test_gpu as $who: ended early, exit $status," \
			"in: $(sed -n 's/^# run //p' "$work/out" | tail -n 1)"
		count not
		return
	fi
	# shellcheck disable=SC2086
	set -- $summary
	count ok "$1"
	count not "$2"
	count skip "$3"
	if [ "$status" -ne 0 ] && [ "$2" -eq 0 ]; then
		say "not ok - test_gpu as $who: exit $status"
		count not
	fi
}

build_all
use_libcuda
print_machine

work=$(mktemp -d "${TMPDIR:-/tmp}/gpumem-gpu.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
copy_for_all
LD_LIBRARY_PATH=$work/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

# A GPU that hangs must not hang the rest.
limit='env'
! command -v timeout >/dev/null 2>&1 || limit='timeout 300'

# A dry run need not move gigabytes.
big=1G:0
[ "$backend" != sim ] || big=

# shellcheck disable=SC2086
if [ "$(id -u)" -eq 0 ]; then
	run_tests root $limit
	if command -v setpriv >/dev/null 2>&1; then
		run_tests "uid 65534" $limit setpriv --reuid=65534 --regid=65534 \
			--clear-groups env HOME=/nonexistent
	else
		run_tests "uid 65534" $limit python3 -c 'import os, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.environ["HOME"] = "/nonexistent"
os.execvp(sys.argv[1], sys.argv[1:])'
	fi
else
	run_tests "uid $(id -u)" $limit
fi

say "$passed passed, $failed failed, $skipped skipped$label"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
