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

# is_ours PATH: whether the scripts made it, by its name and by what is in it. Another
# folder that happens to have such a name is somebody else's.
is_ours()
{
	case $1 in
	kernels/apt-* | apt-source | apt-nvidia-*) [ -f "$1/apt.conf" ] && [ -f "$1/sources.list" ] ;;
	kernels/*.tmp) [ -d "$1/root" ] || [ -d "$1/deb" ] ;;
	kernels/bookworm-* | kernels/trixie-* | kernels/debug-*) [ -f "$1/release" ] ;;
	nvidia/work.*) [ -d "$1/source" ] || [ -d "$1/build" ] ;;
	nvidia/*) [ -f "$1/nvidia/nv-p2p.h" ] ;;
	fresh/roots) [ -d "$1" ] ;;
	fresh/*) [ -f "$1/log" ] && [ -d "$1/root" ] ;;
	arm64-*) [ -d "$1/usr/lib" ] ;;
	*) [ -f "$1" ] || [ -d "$1/apt" ] ;;
	esac
}

set --
for path in kernels/apt-* kernels/bookworm-* kernels/trixie-* kernels/debug-* kernels/debug.log \
	kernels/lock kernels/lock-debug \
	checkpatch/checkpatch.pl checkpatch/spelling.txt checkpatch/const_structs.checkpatch \
	checkpatch.?????? nvidia/bookworm* nvidia/trixie* nvidia/hybrid/* nvidia/work.?????? \
	fresh/bookworm fresh/trixie fresh/roots vm-slots/[0-9]* arm64-[a-z]* apt-source apt-nvidia-*; do
	[ ! -e "$path" ] || ! is_ours "$path" || set -- "$@" "$path"
done
[ $# -gt 0 ] || exit 0
size=$(du -shc "$@" | awk 'END {print $1}')
if [ -z "$answer" ] && [ -t 0 ]; then
	say "distclean: downloads in $cache: $*"
	printf 'distclean: remove them too (%s)? [y/N] ' "$size" >&2
	read -r answer || say ''
fi
case $answer in
y | Y | yes)
	rm -rf --one-file-system "$@"
	rmdir kernels checkpatch nvidia/hybrid nvidia fresh vm-slots "$PWD" 2>/dev/null || true
	say "distclean: removed $size from $cache"
	;;
*) say "distclean: downloads stay in $cache ($size); make distclean CACHE=yes removes them" ;;
esac
