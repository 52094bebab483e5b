#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches a Debian kernel (image and headers) into the cache, unpacked, and
# prints its folder: vmlinuz, build/ (what KDIR points at) and release.
#
# usage: kernel-fetch.sh 6.1|6.12|debug
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${GPUMEM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gpumem}/kernels
want=${1:?usage: kernel-fetch.sh 6.1|6.12|debug}

case $want in
6.1) suites=stable ;;
6.12) suites=backports ;;
debug) exec "$here/kernel-debug.sh" ;;
*) echo "kernel-fetch: no Debian package is known for $want (6.1, 6.12, debug)" >&2; exit 2 ;;
esac

out=$cache/$want
[ -f "$out/complete" ] && { echo "$out"; exit 0; }
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -f "$out/complete" ] && { echo "$out"; exit 0; }

apt="$here/../../scripts/apt-private.sh"
lists=$cache/apt-$want
tmp=$cache/$want.tmp
rm -rf "$tmp" "$out"
mkdir -p "$tmp/root"
"$apt" "$lists" "$suites" main update >&2

image=$("$apt" "$lists" "$suites" main depends linux-image-amd64 | head -1)
release=${image#linux-image-}
case $release in
"$want".*) ;;
*) echo "kernel-fetch: this Debian's kernel is $release, not $want" >&2; exit 1 ;;
esac
headers=linux-headers-$release
more=$("$apt" "$lists" "$suites" main depends "$headers" |
       grep -E '^linux-(headers|kbuild)-' || true)
echo "kernel-fetch: $image and its headers" >&2
"$apt" "$lists" "$suites" main unpack "$tmp/root" "$image" "$headers" $more >&2

mv "$tmp" "$out"
root=$out/root
echo "$release" >"$out/release"
ln -s "root/boot/vmlinuz-$release" "$out/vmlinuz"
ln -s "root/usr/src/$headers" "$out/build"
# Debian's headers name their other half by absolute paths.
find "$root/usr/src" "$root/usr/lib" -type l | while read -r link; do
	to=$(readlink "$link")
	case $to in
	/usr/*) ln -sfn "$root$to" "$link" ;;
	esac
done
find "$root/usr/src" -maxdepth 2 \( -name Makefile -o -name '.kernelvariables' \) -type f \
	-exec sed -i "s,/usr/src/linux-,$root/usr/src/linux-,g; s,/usr/lib/linux-kbuild,$root/usr/lib/linux-kbuild,g" {} +
touch "$out/complete"
echo "$out"
