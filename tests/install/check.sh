# SPDX-License-Identifier: MIT
# For the tests of this folder, which source it: $work is theirs and goes when
# they end; check() and report() count in $failed.
# shellcheck shell=sh

work=$(mktemp -d "${TMPDIR:-/tmp}/gpumem-install.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
failed=0

# check NAME COMMAND...
check()
{
	name=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		echo "ok - $name"
	else
		echo "not ok - $name: $*: exit $?"
		sed 's/^/#   /' "$work/out"
		failed=$((failed + 1))
		return 1
	fi
}

# report NAME STATUS: of a test, after run()
report()
{
	if [ "$2" -eq 0 ]; then
		echo "ok - $1"
	else
		echo "not ok - $1: exit $status: $out"
		failed=$((failed + 1))
	fi
}

# run COMMAND...: keeps what it prints in $out and how it ends in $status
run()
{
	out=$("$@" 2>&1)
	status=$?
}

# check_end: the last line and the exit status
check_end()
{
	[ "$failed" -eq 0 ] || {
		echo "$failed failed"
		exit 1
	}
	echo "all passed"
}

# fails COMMAND...: it does
fails()
{
	! "$@"
}

# files_below FOLDER: what is there, folders left out, each a line
files_below()
{
	(cd "$1" && find . ! -type d | sed 's,^\./,,' | sort)
}
