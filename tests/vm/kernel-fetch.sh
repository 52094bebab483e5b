#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches a Debian kernel (image and headers) into the cache, unpacked, and
# prints its folder: vmlinuz, build/ (what KDIR points at) and release.
#
# usage: kernel-fetch.sh 6.1|6.12|newest|debug
#
# newest is the newest kernel that a Debian suite has for any release but the
# unstable ones. Its build tools may need a newer C library than this machine's:
# those that do are run with that suite's own.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${GPUMEM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gpumem}/kernels
want=${1:?usage: kernel-fetch.sh 6.1|6.12|newest|debug}

case $want in
6.1) suites=stable ;;
6.12) suites=backports ;;
newest) suites=trixie-backports ;;
debug) exec "$here/kernel-debug.sh" ;;
*) echo "kernel-fetch: no Debian package is known for $want (6.1, 6.12, newest, debug)" >&2; exit 2 ;;
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

image=$("$apt" "$lists" "$suites" main depends linux-image-amd64 |
	grep '^linux-image-[0-9]' | head -1)
release=${image#linux-image-}
case $want/$release in
"newest/"[0-9]* | "$want/$want".*) ;;
*) echo "kernel-fetch: this Debian's kernel is $release, not $want" >&2; exit 1 ;;
esac
headers=linux-headers-$release
more=$("$apt" "$lists" "$suites" main depends "$headers" |
       grep -E '^linux-(headers|kbuild|base-[0-9].*)-' || true)
# Since 7.x the image's own package is empty.
more="$more $("$apt" "$lists" "$suites" main depends "$image" |
	grep '^linux-binary-' || true)"
echo "kernel-fetch: $image and its headers" >&2
"$apt" "$lists" "$suites" main unpack "$tmp/root" "$image" "$headers" $more >&2

if [ "$want" = newest ]; then
	# Of the release that these backports are for.
	"$apt" "$lists-libc" "${suites%-backports}" main update >&2
	"$apt" "$lists-libc" "${suites%-backports}" main unpack "$tmp/libc" \
		libc6 libelf1t64 libzstd1 zlib1g libssl3t64 >&2
fi

vmlinuz=$(find "$tmp/root" -name 'vmlinuz*' -type f | head -1)
[ -n "$vmlinuz" ] || { echo "kernel-fetch: no kernel in $image $more" >&2; exit 1; }
mv "$tmp" "$out"
root=$out/root
echo "$release" >"$out/release"
ln -s "root${vmlinuz#"$tmp/root"}" "$out/vmlinuz"
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
if [ "$want" = newest ]; then
	libc=$out/libc
	find "$root"/usr/lib/linux-kbuild-*/ -type f -perm -u+x | while read -r tool; do
		"$tool" </dev/null 2>&1 | grep -q 'GLIBC_.* not found' || continue
		mv "$tool" "$tool.real"
		printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s.real" "$@"\n' \
			"$(find "$libc" -name ld-linux-x86-64.so.2 -type f | head -1)" \
			"$libc/usr/lib/x86_64-linux-gnu" "$tool" >"$tool"
		chmod +x "$tool"
	done
	# What this machine's compiler lacks, and type information, which its
	# pahole is too old for.
	sed -i '/CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT/d' \
		"$out/build/include/config/auto.conf" \
		"$out/build/include/generated/autoconf.h"
	rm -f "$out/build/vmlinux"
	pahole=$("$out/build/scripts/pahole-version.sh" pahole)
	sed -i "s/^\(CONFIG_PAHOLE_VERSION\)=.*/\1=$pahole/" \
		"$out/build/include/config/auto.conf"
	sed -i 's/gcc-[0-9]*$/gcc/' "$out/build/.kernelvariables"
fi
touch "$out/complete"
echo "$out"
