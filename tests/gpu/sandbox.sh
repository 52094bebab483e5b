#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the library under a seccomp filter, as the caller, as an ordinary user
# where the caller is root, and in namespaces of its own. Exits 0 when all
# passed, 1 when something failed, 77 where the backend cannot be used. The program
# and its library run from a copy that an ordinary user can reach.
#
#   tests/gpu/sandbox.sh SANDBOX [--backend NAME]
# shellcheck disable=SC2086 # $options is words
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/gpu/common.sh
. "$root/tests/gpu/common.sh"

built=${1:?sandbox.sh: name the built program sandbox}
shift
make_work gpumem-sandbox
mkdir "$work/bin" "$work/lib" "$work/sim"
sandbox=$work/bin/sandbox
library=$(ldd "$built" | sed -n 's/.*libgpumem\.so[^ ]* => \(.*\) (0x.*/\1/p')
if ! cp "$built" "$sandbox" || ! cp "$library" "$work/lib/"; then
	die "cannot copy $built and its libgpumem ($library) to $work"
fi
# Where the library looks for the simulated CUDA, from its own place.
sim=$(dirname "$library")/../sim/libcuda.so.1
[ ! -f "$sim" ] || cp "$sim" "$work/sim/"
chmod -R a+rX "$work"
LD_LIBRARY_PATH=$work/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

failed=0
passed=0
skipped=0

# outcome STATUS NAME: counts and prints a result.
outcome()
{
	case $1 in
	0)
		echo "ok - $2"
		passed=$((passed + 1))
		;;
	77)
		echo "skip - $2"
		skipped=$((skipped + 1))
		;;
	*)
		echo "not ok - $2: exit $1"
		failed=$((failed + 1))
		;;
	esac
}

# try NAME COMMAND...: both filters, through a command that makes the place.
try()
{
	name=$1
	shift
	for after in open cuda; do
		"$@" "$sandbox" $options --after $after
		status=$?
		outcome $status "seccomp filter after $after, $name"
		[ $status -eq 0 ] || [ $status -eq 77 ] ||
			"$@" "$sandbox" $options --after $after --learn |
			sort | uniq -c | sed 's/^/#  /'
	done
}

# possible COMMAND...: whether this machine lets us have such a place.
possible()
{
	"$@" true 2>/dev/null
}

options=$*
try "uid $(id -u)" env
if can_change_user; then
	try "uid 65534" as_ordinary
elif [ "$(id -u)" -eq 0 ]; then
	outcome 77 "uid 65534: this machine lets root be no other user"
fi
if possible unshare -Ur; then
	try "unshare -Ur" unshare -Ur
else
	outcome 77 "unshare -Ur: this machine allows no user namespaces"
fi
if possible unshare --user --map-root-user --mount --pid --fork; then
	try "unshare --user --map-root-user --mount --pid --fork" \
		unshare --user --map-root-user --mount --pid --fork
else
	outcome 77 "unshare --mount --pid: this machine allows no such namespaces"
fi
# Without the filter: what each step costs in system calls.
"$sandbox" $options --count | sort | uniq -c | sort -rn | sed 's/^/# /'
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] || exit 1
[ $passed -gt 0 ] || exit 77
