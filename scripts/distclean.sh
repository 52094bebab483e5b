#!/bin/sh
# SPDX-License-Identifier: MIT
# Offers to remove what the scripts have downloaded: kernels, packages' lists, the
# NVIDIA driver's source, fresh systems. What gpumem tune has measured stays.
# usage: distclean.sh [yes]
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh
answer=${1:-}
cache=$(cache_dir)
[ -d "$cache" ] || exit 0
cd "$cache"
# By their names: what else lies there is not the scripts'.
set --
for path in kernels/apt-* kernels/bookworm-* kernels/trixie-* kernels/debug-* kernels/debug.log \
	kernels/lock kernels/lock-debug \
	checkpatch/checkpatch.pl checkpatch/spelling.txt checkpatch/const_structs.checkpatch \
	checkpatch.?????? nvidia/bookworm* nvidia/trixie* nvidia/hybrid nvidia/work.?????? \
	fresh/bookworm fresh/trixie fresh/roots vm-slots/[0-9]* arm64-[a-z]* apt-source apt-nvidia-*; do
	[ ! -e "$path" ] || set -- "$@" "$path"
done
[ $# -gt 0 ] || exit 0
size=$(du -shc "$@" | awk 'END {print $1}')
if [ -z "$answer" ] && [ -t 0 ]; then
	printf 'distclean: remove the downloads in %s too (%s)? [y/N] ' "$cache" "$size" >&2
	read -r answer || say ''
fi
case $answer in
y | Y | yes)
	rm -rf --one-file-system "$@"
	rmdir kernels checkpatch nvidia fresh vm-slots "$PWD" 2>/dev/null || true
	say "distclean: removed $size from $cache"
	;;
*) say "distclean: downloads stay in $cache ($size); make distclean CACHE=yes removes them" ;;
esac
