#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches the kernel's checkpatch.pl from Debian's kernel source package into
# the cache and prints its path.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
. scripts/common.sh
cache=$(cache_dir)
out=$cache/checkpatch
[ -f "$out/checkpatch.pl" ] && { echo "$out/checkpatch.pl"; exit 0; }
mkdir -p "$out"
tmp=$(mktemp -d "$cache/checkpatch.XXXXXX")
trap 'rm -rf "$tmp"; common_end' EXIT
# Debian 12's, whichever release this is: the tree is checked with one version.
"$here/apt-private.sh" "$tmp/apt" bookworm main update >&2
"$here/apt-private.sh" "$tmp/apt" bookworm main unpack "$tmp" linux-source-6.1 >&2
tar -C "$tmp" --strip-components=2 -xf "$tmp"/usr/src/linux-source-6.1.tar.xz \
	linux-source-6.1/scripts/checkpatch.pl \
	linux-source-6.1/scripts/spelling.txt \
	linux-source-6.1/scripts/const_structs.checkpatch
mv "$tmp/spelling.txt" "$tmp/const_structs.checkpatch" "$out/"
mv "$tmp/checkpatch.pl" "$out/"
echo "$out/checkpatch.pl"
