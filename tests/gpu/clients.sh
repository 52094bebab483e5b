#!/bin/sh
# SPDX-License-Identifier: MIT
# Real clients of GDRCopy's interface, unchanged, on libgdrapi: NCCL in PyTorch,
# NCCL by itself from its package, and UCX. Each runs without it too, for
# comparison. Exits 0 when all that could run passed, 1 when something failed, 77
# where none could run.
#
#   tests/gpu/clients.sh [--only nccl,wheel,ucx]
#
# GPUMEM_UCX_DIR  a UCX that was built with GDRCopy and CUDA (bin/ucx_info,
#		  bin/ucx_perftest, lib/ucx/libuct_cuda_gdrcopy.so); without it
#		  the one of the Python package libucx, if that has the transport
# GPUMEM_PYTHON	  a Python with PyTorch, or with nvidia-nccl-cuNN (python3)
# GPUMEM_BUILD	  the folder to build gpumem in (build-gpu)
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${GPUMEM_BUILD:-$root/build-gpu}
python=${GPUMEM_PYTHON:-python3}
# shellcheck source=tests/gpu/common.sh
. "$root/tests/gpu/common.sh"

parts='nccl wheel ucx'
case ${1:-} in
'') ;;
--only)
	[ $# -eq 2 ] || die "$1 wants one value: some of nccl,wheel,ucx"
	parts=$(echo "$2" | tr ',' ' ')
	for part in $parts; do
		case $part in
		nccl | wheel | ucx) ;;
		*)
			die "--only $part: no such part; there are nccl," \
				"wheel and ucx"
			;;
		esac
	done
	case $parts in
	*[a-z]*) ;;
	*) die "--only: no part; there are nccl, wheel and ucx" ;;
	esac
	;;
*)
	sed -n '3,/^set -u/s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac
if ! have_gpu; then
	say "skip - clients: this machine has no NVIDIA GPU"
	exit 77
fi

# shellcheck disable=SC2034 # build_all reads it
targets='tools/gpumem:executable compat/gdrapi/gdrapi:shared_library'
build_all
use_libcuda
print_machine

work=$(mktemp -d "${TMPDIR:-/tmp}/gpumem-clients.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
library=$(dirname "$(find "$build/compat" -name libgdrapi.so)")
core=$(dirname "$(find "$build/lib" -name libgpumem.so.0)")
limit=
! command -v timeout >/dev/null 2>&1 || limit='timeout 180'
passed=0
failed=0
skipped=0

# result WORD TEXT...
result()
{
	word=$1
	shift
	case $word in
	ok) passed=$((passed + 1)) ;;
	'not ok') failed=$((failed + 1)) ;;
	*) skipped=$((skipped + 1)) ;;
	esac
	say "$word - $*"
}

# ending STATUS: how a program under $limit ended.
ending()
{
	case $1 in
	124 | 137) say 'over its time of 180 s' ;;
	*) say "exit $1" ;;
	esac
}

# with_library COMMAND...: with libgdrapi where the loader finds it.
with_library()
{
	env LD_LIBRARY_PATH="$library:$core${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
		GDRCOPY_ENABLE_LOGGING=1 GDRCOPY_LOG_LEVEL=2 "$@"
}

# The net transport alone uses GDRCopy; within a machine it has to be forced.
# run_nccl SCRIPT COMMAND...
run_nccl()
{
	script=$root/tests/gpu/$1
	shift
	# shellcheck disable=SC2086
	"$@" env NCCL_DEBUG=INFO NCCL_DEBUG_SUBSYS=INIT,NET \
		NCCL_P2P_DISABLE=1 NCCL_SHM_DISABLE=1 NCCL_NVLS_ENABLE=0 \
		NCCL_NET=Socket NCCL_SOCKET_IFNAME=lo \
		$limit "$python" "$script"
}

# nccl_both NAME SCRIPT: without the library and with it, in turns.
nccl_both()
{
	: >"$work/results"
	for round in 1 2 3; do
		nccl_status=0
		run_nccl "$2" env NCCL_GDRCOPY_ENABLE=0 \
			>"$work/without" 2>&1 || nccl_status=$?
		if [ "$nccl_status" -ne 0 ]; then
			sed 's/^/#   /' "$work/without"
			result skip "$1 without GDRCopy, round $round:" \
				"$(ending "$nccl_status")"
			return
		fi
		run_nccl "$2" with_library NCCL_GDRCOPY_ENABLE=1 \
			>"$work/with" 2>&1 || nccl_status=$?
		sed -n 's/^result /without: /p' "$work/without" >>"$work/results"
		sed -n 's/^result /with:    /p' "$work/with" >>"$work/results"
		if [ "$nccl_status" -ne 0 ]; then
			sed 's/^/#   /' "$work/with"
			result 'not ok' "$1 with GDRCopy, round $round:" \
				"$(ending "$nccl_status")"
			return
		fi
	done
	grep -iE 'gdrcopy|gdrapi|gdr_|GPU [0-9]+ through' "$work/with" |
		sed 's/^/#   with:    /'
	sort "$work/results" | sed 's/^/#   /'
	ranks=$(sed -n 's/^result \(.*, \)\{0,1\}\([0-9]* rank(s)\).*/\2/p' \
		"$work/with")
	opened=$(grep -o 'GDRCOPY enabled library [0-9.]* driver [0-9.]*' \
		"$work/with" | sort -u)
	if [ -z "$opened" ]; then
		sed 's/^/#   /' "$work/with"
		result 'not ok' "$1 opened no library of GDRCopy"
	elif [ "$opened" != 'GDRCOPY enabled library 2.6 driver 2.6' ]; then
		sed 's/^/#   /' "$work/with"
		result 'not ok' "$1 opened another library: $opened"
	elif grep -q 'ERR:  ' "$work/with"; then
		result 'not ok' "$1 met errors of the library"
	elif ! grep -q 'INFO: GPU .* through backend' "$work/with"; then
		result ok "$1 opened the library and pinned nothing ($ranks)"
	else
		result ok "$1 opened the library and pinned memory through it" \
			"($ranks)"
	fi
}

part_nccl()
{
	if ! "$python" -c 'import torch; assert torch.cuda.is_available()' \
		>"$work/log" 2>&1; then
		result skip "NCCL in PyTorch: $python has no PyTorch that sees" \
			"a GPU: $(tail -n 1 "$work/log")"
		return
	fi
	nccl_both 'NCCL in PyTorch' clients_nccl.py
}

part_wheel()
{
	if ! "$python" "$root/tests/gpu/clients_nccl_wheel.py" --find \
		>"$work/log" 2>&1; then
		result skip "NCCL from its package: $(tail -n 1 "$work/log")"
		return
	fi
	say "#   $(sed 's|.*/\(nvidia/\)|\1|' "$work/log")," \
		"$("$python" -m pip list 2>/dev/null |
			awk '/^nvidia-nccl/ { print $1, $2 }')"
	nccl_both 'NCCL from its package' clients_nccl_wheel.py
}

# The folder of a UCX with the transport.
find_ucx()
{
	if [ -n "${GPUMEM_UCX_DIR:-}" ]; then
		say "$GPUMEM_UCX_DIR"
		return
	fi
	"$python" -c 'import libucx, os
print(os.path.dirname(libucx.__file__))' 2>/dev/null
}

# ping_pong PORT SIZE TRANSPORTS COMMAND...: prints the median microseconds one
# way; its status is the client's.
ping_pong()
{
	server_port=$1
	bytes=$2
	transports=$3
	shift 3
	# shellcheck disable=SC2086
	"$@" env UCX_TLS="$transports" UCX_LOG_LEVEL=warn $limit \
		"$ucx/bin/ucx_perftest" -p "$server_port" \
		>"$work/server" 2>&1 &
	server=$!
	sleep 2
	# shellcheck disable=SC2086
	"$@" env UCX_TLS="$transports" UCX_LOG_LEVEL=warn $limit \
		"$ucx/bin/ucx_perftest" -p "$server_port" localhost -m cuda \
		-t tag_lat -s "$bytes" -n 2000 -w 200 -f >"$work/client" 2>&1
	client_status=$?
	wait $server
	[ "$client_status" -eq 0 ] || return $client_status
	awk '/^[^#+|]* [0-9]+ +[0-9.]+ +[0-9.]+/ { t = $(NF - 6) } END { print t }' \
		"$work/client"
}

# ucx_size SIZE PORT: without gdr_copy, and with it at PORT + 1.
ucx_size()
{
	without=$(ping_pong "$2" "$1" self,sm,cuda_copy env)
	without_status=$?
	with=$(ping_pong $(($2 + 1)) "$1" self,sm,cuda_copy,gdr_copy \
		with_library)
	with_status=$?
	say "#   UCX tag_lat, $1 bytes of GPU memory:" \
		"${with:-no} us with gdr_copy, ${without:-no} us without"
	if [ $with_status -eq 0 ] && [ -n "$with" ] &&
		! grep -q 'ERR:  ' "$work/client" "$work/server"; then
		result ok "UCX, $1 bytes"
		return
	fi
	tail -q -n 40 "$work/client" "$work/server" | sed 's/^/#   /'
	if [ $with_status -eq 0 ] && [ -n "$with" ]; then
		result 'not ok' "UCX, $1 bytes: errors of the library"
	elif [ $with_status -eq 0 ]; then
		result 'not ok' "UCX, $1 bytes: ucx_perftest told no time"
	elif [ $without_status -eq 0 ]; then
		result 'not ok' "UCX, $1 bytes: $(ending $with_status)"
	else
		result skip "UCX, $1 bytes: nor without gdr_copy:" \
			"$(ending $without_status)"
	fi
}

part_ucx()
{
	ucx=$(find_ucx)
	if [ -z "$ucx" ]; then
		result skip "UCX: GPUMEM_UCX_DIR is not set and $python has no" \
			"libucx"
		return
	fi
	for file in bin/ucx_info bin/ucx_perftest \
		lib/ucx/libuct_cuda_gdrcopy.so.0; do
		if [ ! -e "$ucx/$file" ]; then
			result skip "UCX: $ucx has no $file"
			return
		fi
	done
	outer_path=${LD_LIBRARY_PATH:-}
	LD_LIBRARY_PATH=$ucx/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
	export LD_LIBRARY_PATH
	with_library "$ucx/bin/ucx_info" -d >"$work/info" 2>"$work/log"
	info_status=$?
	if [ $info_status -ne 0 ]; then
		sed 's/^/#   /' "$work/log"
		result 'not ok' "UCX: ucx_info -d: exit $info_status"
	elif ! grep -q 'Transport: gdr_copy' "$work/info"; then
		sed 's/^/#   /' "$work/log"
		result 'not ok' "UCX does not offer gdr_copy"
	else
		result ok "UCX offers gdr_copy"
		port=13400
		for size in 8 1024 8192 65536 1048576; do
			ucx_size $size $port
			port=$((port + 2))
		done
	fi
	LD_LIBRARY_PATH=$outer_path
}

for part in $parts; do
	"part_$part"
done
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] || exit 1
[ "$passed" -gt 0 ] || exit 77
