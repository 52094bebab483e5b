# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034 # variables are for those who source it
# Shell functions for the scripts behind the Makefile: progress, temporary files,
# the ways to become root. A script sources this file from the project's root:
#	. scripts/common.sh

# A folder for temporary files, removed when the script ends or is interrupted. A
# script that ends with exec must call common_end before.
common_tmp=$(mktemp -d "${TMPDIR:-/tmp}/gpumem.XXXXXX" 2>/dev/null) || {
	echo "there is no room for temporary files in ${TMPDIR:-/tmp}: set TMPDIR to a folder that you may write to" >&2
	exit 1
}
common_ticker=
common_end()
{
	[ -z "$common_ticker" ] || kill "$common_ticker" 2>/dev/null || true
	rm -rf "$common_tmp"
}
trap common_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# say TEXT: a line for the user; standard output belongs to results.
say()
{
	printf '%s\n' "$*" >&2
}

# ticker PID LOG: every second, the elapsed time and the newest line of the log,
# on one line of the terminal. Ends with the process.
ticker()
{
	ticker_s=0
	while sleep 1 && kill -0 "$1" 2>/dev/null; do
		ticker_s=$((ticker_s + 1))
		ticker_line=$(tail -c 400 "$2" | tr '\r' '\n' | grep -v '^$' |
			tail -n 1 | tr -cd '[:print:]' | cut -c 1-64)
		printf '\r\033[K  %d s  %s' "$ticker_s" "$ticker_line" >&2
	done
}

# step TEXT COMMAND...: prints TEXT and runs the command with its output in
# $step_log, which the next step overwrites; on a terminal the newest line of it
# is shown meanwhile. Returns the command's status.
step()
{
	say "$1"
	shift
	step_log=$common_tmp/step.log
	: >"$step_log"
	if [ -t 2 ]; then
		ticker $$ "$step_log" &
		common_ticker=$!
	fi
	step_rc=0
	"$@" >"$step_log" 2>&1 || step_rc=$?
	if [ -n "$common_ticker" ]; then
		kill "$common_ticker" 2>/dev/null || true
		wait "$common_ticker" 2>/dev/null || true
		common_ticker=
		printf '\r\033[K' >&2
	fi
	return $step_rc
}

# step_show [LINES]: the end of the last step's output, for an error.
step_show()
{
	tail -n "${1:-40}" "$step_log" >&2
}

# root_command: sets $as_root to what runs a command as root, empty for root
# itself; false, with $root_why, where there is no way. A sudo that asks for a
# password is a way only where there is a terminal to ask on.
root_command()
{
	as_root=
	root_why=
	[ "$(id -u)" != 0 ] || return 0
	if ! command -v sudo >/dev/null; then
		root_why="you are not root, and there is no sudo"
	elif sudo -n true 2>/dev/null; then
		as_root="sudo -n"
	elif [ -t 0 ] && [ -t 2 ]; then
		as_root=sudo
	else
		root_why="sudo wants a password, and there is no terminal to ask for it"
	fi
	[ -z "$root_why" ]
}

# is_odd PATH...: whether one of the paths has a character that Kbuild, make or a
# shell behind them cannot handle in a path: a space, a colon, a quote, most others
# that mean something to one of them.
is_odd()
{
	for is_odd_path; do
		case $is_odd_path in
		*[[:space:]:\'\"\#\$\&\(\),%\`\;\<\>\|\*\?\{\}\\!^]* | *\[* | *\]*) return 0 ;;
		esac
	done
	return 1
}

# cache_dir: where downloads are kept.
cache_dir()
{
	: "${HOME:=$(getent passwd "$(id -u)" | cut -d : -f 6)}"
	cache_dir_path=${GPUMEM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gpumem}
	case $cache_dir_path in
	/*) ;;
	*) cache_dir_path=$PWD/$cache_dir_path ;;
	esac
	echo "$cache_dir_path"
}

# vm_possible: whether a test VM may boot here, as far as can be told before
# anything is installed or fetched; sets $vm_kernels, or $vm_why to the reason.
vm_possible()
{
	vm_why=
	if is_odd "$PWD" "$(cache_dir)"; then
		vm_why="Kbuild cannot build modules in a path with a space, a colon, a quote or the like ($PWD; downloads: $(cache_dir))"
	elif vm_kernels=$(tests/vm/kernel-fetch.sh list 2>"$common_tmp/why"); then
		return 0
	else
		vm_why=$(sed 's/^[a-z-]*: //' "$common_tmp/why")
	fi
	return 1
}

# vm_prepare KERNEL PURPOSE...: installs the packages of setup.sh's purposes, those
# of the VM too, and fetches the kernel; false, with $vm_why, where it cannot.
vm_prepare()
{
	vm_kernel=$1
	shift
	if ! scripts/setup.sh "$@" vm; then
		vm_why="packages for it are missing"
	elif ! tests/vm/kernel-fetch.sh "$vm_kernel" >/dev/null; then
		vm_why="there is no kernel for it"
	else
		return 0
	fi
	return 1
}
