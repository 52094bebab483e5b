#!/bin/sh
# SPDX-License-Identifier: MIT
# Real clients of GDRCopy's interface, unchanged, on libgdrapi: NCCL in PyTorch,
# NCCL by itself from its package, and UCX. Each runs without it too, for
# comparison. Exits 0 when all that could run passed, 1 when something failed, 77
# where none could run.
#
#   tests/gpu/clients.sh [--only nccl,wheel,ucx]
#
# UCX_DIR  a UCX that was built with GDRCopy and CUDA (bin/ucx_perftest,
#	   lib/ucx/libuct_cuda_gdrcopy.so); without it the one of the Python
#	   package libucx, if that has the transport
# PYTHON   a Python with PyTorch, or with nvidia-nccl-cuNN (python3)
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$root/build-gpu}
python=${PYTHON:-python3}
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

# with_library COMMAND...: with libgdrapi where the loader finds it.
with_library()
{
	env LD_LIBRARY_PATH="$library:$core${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" \
		GDRCOPY_ENABLE_LOGGING=1 GDRCOPY_LOG_LEVEL=2 "$@"
}

# The net transport alone uses GDRCopy; within a machine it has to be forced.
run_nccl()
{
	program=$1
	shift
	# shellcheck disable=SC2086
	"$@" env NCCL_DEBUG=INFO NCCL_DEBUG_SUBSYS=INIT,NET \
		NCCL_P2P_DISABLE=1 NCCL_SHM_DISABLE=1 NCCL_NVLS_ENABLE=0 \
		NCCL_NET=Socket NCCL_SOCKET_IFNAME=lo \
		$limit "$python" "$root/tests/gpu/$program"
}

# nccl_both NAME PROGRAM: without the library and with it, in turns.
nccl_both()
{
	name=$1
	status=0
	: >"$work/results"
	for round in 1 2 3; do
		if ! run_nccl "$2" env NCCL_GDRCOPY_ENABLE=0 \
			>"$work/without" 2>&1; then
			sed 's/^/#   /' "$work/without"
			result skip "$name: it does not run without GDRCopy" \
				"either"
			return
		fi
		run_nccl "$2" with_library NCCL_GDRCOPY_ENABLE=1 \
			>"$work/with" 2>&1 || status=$?
		sed -n 's/^result /without: /p' "$work/without" >>"$work/results"
		sed -n 's/^result /with:    /p' "$work/with" >>"$work/results"
		if [ "$status" -ne 0 ]; then
			sed 's/^/#   /' "$work/with"
			result 'not ok' "$name with GDRCopy, round $round:" \
				"exit $status"
			return
		fi
	done
	grep -iE 'gdrcopy|gdrapi|gdr_|GPU [0-9]+ through' "$work/with" |
		sed 's/^/#   with:    /'
	sort "$work/results" | sed 's/^/#   /'
	if ! grep -q 'GDRCOPY enabled library 2.6 driver 2.6' "$work/with"; then
		sed 's/^/#   /' "$work/with"
		result 'not ok' "$name did not open the library"
	elif grep -q 'ERR:  ' "$work/with"; then
		result 'not ok' "$name met errors of the library"
	elif ! grep -q 'INFO: GPU .* through backend' "$work/with"; then
		result ok "$name opened the library; it pinned nothing, for" \
			"that there must be two GPUs"
	else
		result ok "$name opened the library and pinned memory" \
			"through it"
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
	if [ -n "${UCX_DIR:-}" ]; then
		say "$UCX_DIR"
		return
	fi
	"$python" -c 'import libucx, os
print(os.path.dirname(libucx.__file__))' 2>/dev/null
}

# ping_pong SIZE TRANSPORTS COMMAND...: median microseconds one way, or nothing.
ping_pong()
{
	size=$1
	transports=$2
	shift 2
	port=$((port + 1))
	# shellcheck disable=SC2086
	"$@" env UCX_TLS="$transports" UCX_LOG_LEVEL=warn $limit \
		"$ucx/bin/ucx_perftest" -p $port >"$work/server" 2>&1 &
	server=$!
	sleep 2
	# shellcheck disable=SC2086
	"$@" env UCX_TLS="$transports" UCX_LOG_LEVEL=warn $limit \
		"$ucx/bin/ucx_perftest" -p $port localhost -m cuda -t tag_lat \
		-s "$size" -n 2000 -w 200 -f >"$work/client" 2>&1
	status=$?
	wait $server
	[ "$status" -eq 0 ] || return
	awk '/^[^#+|]* [0-9]+ +[0-9.]+ +[0-9.]+/ { t = $(NF - 6) } END { print t }' \
		"$work/client"
}

part_ucx()
{
	ucx=$(find_ucx)
	if [ -z "$ucx" ]; then
		result skip "UCX: UCX_DIR is not set and $python has no libucx"
		return
	fi
	if [ ! -e "$ucx/lib/ucx/libuct_cuda_gdrcopy.so.0" ]; then
		result skip "UCX: $ucx was built without gdr_copy"
		return
	fi
	if [ ! -x "$ucx/bin/ucx_perftest" ]; then
		result skip "UCX: $ucx has no bin/ucx_perftest"
		return
	fi
	LD_LIBRARY_PATH=$ucx/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
	export LD_LIBRARY_PATH
	with_library "$ucx/bin/ucx_info" -d >"$work/info" 2>"$work/log"
	if ! grep -q 'Transport: gdr_copy' "$work/info"; then
		sed 's/^/#   /' "$work/log"
		result 'not ok' "UCX does not offer gdr_copy"
		return
	fi
	result ok "UCX offers gdr_copy"
	port=13400
	for size in 8 1024 8192 65536 1048576; do
		without=$(ping_pong $size self,sm,cuda_copy env)
		with=$(ping_pong $size self,sm,cuda_copy,gdr_copy with_library)
		say "#   UCX tag_lat, $size bytes of GPU memory:" \
			"${with:-failed} us with gdr_copy," \
			"${without:-failed} us without"
		if [ -z "$with" ] && [ -n "$without" ]; then
			sed 's/^/#   /' "$work/client" "$work/server"
			result 'not ok' "UCX, $size bytes"
		elif [ -z "$with" ]; then
			sed 's/^/#   /' "$work/client"
			result skip "UCX, $size bytes: nor without gdr_copy"
		elif grep -q 'ERR:  ' "$work/client" "$work/server"; then
			grep -h 'ERR:  ' "$work/client" "$work/server" |
				sort | uniq -c | sed 's/^/#   /'
			result 'not ok' "UCX, $size bytes: errors of the library"
		else
			result ok "UCX, $size bytes"
		fi
	done
}

for part in $parts; do
	"part_$part"
done
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] || exit 1
[ "$passed" -gt 0 ] || exit 77
