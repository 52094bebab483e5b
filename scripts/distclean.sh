#!/bin/sh
# SPDX-License-Identifier: MIT
# Offers to remove what the scripts have downloaded: kernels, packages' lists, the
# NVIDIA driver's source, fresh systems. What gpumem tune has measured stays.
# usage: distclean.sh [yes]
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh
cache=$(cache_dir)
found=
for part in kernels checkpatch apt-source nvidia fresh vm-slots; do
	[ ! -e "$cache/$part" ] || found="$found $part"
done
for dir in "$cache"/apt-nvidia-*; do
	[ ! -e "$dir" ] || found="$found ${dir##*/}"
done
[ -n "$found" ] || exit 0
# shellcheck disable=SC2086 # words
size=$(cd "$cache" && du -shc $found | awk 'END {print $1}')
answer=${1:-}
if [ -z "$answer" ] && [ -t 0 ]; then
	printf 'distclean: remove the downloads in %s too (%s)? [y/N] ' "$cache" "$size" >&2
	read -r answer
fi
case $answer in
y | Y | yes)
	# shellcheck disable=SC2086
	(cd "$cache" && rm -rf $found)
	rmdir "$cache" 2>/dev/null || true
	say "distclean: removed $size from $cache"
	;;
*) say "distclean: downloads stay in $cache ($size); make distclean CACHE=yes removes them" ;;
esac
