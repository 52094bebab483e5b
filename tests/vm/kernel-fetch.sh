#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches a Debian kernel (image and headers) into the cache, unpacked, and
# prints its folder: vmlinuz, build/ (what KDIR points at) and release.
#
# usage: kernel-fetch.sh [--arch arm64] KERNEL
#        kernel-fetch.sh [--arch arm64] KERNEL modules
#        kernel-fetch.sh [--arch arm64] list
#
# modules prints the paths of the kernel's own modules that NVIDIA's driver needs,
# a line each; no others are kept.
#
# list prints the kernels that the tests run on, on this release of Debian, one a
# line: "KERNEL required", or "KERNEL optional" for one that the tree may be too
# old for. It exits 1, saying why, where no kernel is known.
#
# newest is the newest kernel that a Debian suite has for any release but the
# unstable ones, and debug one that is built here. The build tools of a newer
# release may need its C library: those that do are run with it.
#
# Kernels for arm64 have pages of 4 KiB, or of 16 KiB if the name says so (6.12-16k);
# the one with 64 KiB is built here. The build tools beside them are this machine's.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
arch=
if [ "${1:-}" = --arch ]; then
	arch=${2:-}
	shift 2
fi
want=${1:?usage: kernel-fetch.sh [--arch arm64] KERNEL [modules], or list}
what=${2:-folder}
case $arch/$want in
/debug | arm64/64k) exec "$here/kernel-build.sh" "$want" ;;
esac

fail()
{
	echo "kernel-fetch: $*" >&2
	exit 1
}

ID=unknown VERSION_CODENAME=
[ ! -r /etc/os-release ] || . /etc/os-release
case $(uname -m)/$VERSION_CODENAME$arch in
x86_64/bookwormarm64)
	kernels="6.1 required
64k required"
	;;
x86_64/trixiearm64)
	kernels="6.12 required
64k required"
	;;
x86_64/bookworm)
	kernels="6.1 required
6.12 required"
	;;
x86_64/trixie)
	kernels="6.12 required
newest optional"
	;;
x86_64/bookworm?* | x86_64/trixie?*) fail "there is no test VM of $arch, only of this machine's and arm64" ;;
x86_64/*) fail "no kernel package is known for ${PRETTY_NAME:-$ID}, only for Debian 12 and 13" ;;
*) fail "there is no test VM for $(uname -m), only for x86_64" ;;
esac
[ "$want" != list ] || { echo "$kernels"; exit 0; }

flavour=${arch:-amd64} version=$want
case $arch/$want in
arm64/*-16k) flavour=arm64-16k version=${want%-16k} ;;
esac
case $VERSION_CODENAME/$version in
bookworm/6.1) suite=bookworm ;;
bookworm/6.12) suite=bookworm-backports ;;
trixie/6.12) suite=trixie ;;
*/newest) suite=trixie-backports ;;
*) fail "Debian's $VERSION_CODENAME has no kernel $want; there are: $(echo "$kernels" |
	sed 's/ .*//' | grep -v newest | paste -s -d ' ') newest ${arch:-debug}${arch:+: 6.12-16k}" ;;
esac

cd "$here/../.."
. scripts/common.sh
# The headers name their own folders, which Kbuild reads.
cache=$(cache_dir)/kernels
! is_odd "$cache" ||
	fail "the kernels' folder $cache has a space, a colon, a quote or the like in its path, which Kbuild cannot handle: set GPUMEM_CACHE to a folder without"
out=$cache/$VERSION_CODENAME-$want${arch:+-$arch}

# answer: prints what was asked for and ends, if it is there.
answer()
{
	[ -f "$out/complete" ] || return 0
	if [ "$what" = folder ]; then
		echo "$out"
		exit 0
	fi
	[ -d "$out/modules" ] || return 0
	find "$out/modules" -name '*.ko'
	exit 0
}

# modules_keep ROOT TARGET MODULE...: copies these modules of an unpacked image, and
# those that they need, uncompressed. One that is not there is part of the kernel.
modules_keep()
{
	keep_root=$1 keep_target=$2
	shift 2
	mkdir -p "$keep_target"
	while [ $# -gt 0 ]; do
		# Names have either character, files the one or the other.
		keep_from=$(find "$keep_root" -name "$(echo "$1" | sed 's/[-_]/[-_]/g').ko*" | head -n 1)
		shift
		[ -n "$keep_from" ] || continue
		keep_to=$keep_target/$(basename "$keep_from")
		cp "$keep_from" "$keep_to"
		case $keep_to in
		*.xz) unxz -f "$keep_to" ;;
		*.zst) unzstd -q --rm "$keep_to" ;;
		esac
		# shellcheck disable=SC2046 # words
		set -- "$@" $(/sbin/modinfo -F depends "$keep_from" | tr , ' ')
	done
}

answer
mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || {
	say "kernel $want: waiting for another run that fetches a kernel"
	flock 9
}
answer

lists=$cache/apt-$suite${arch:+-$arch}
# apt ARGUMENTS...: packages of the kernel's architecture.
apt()
{
	scripts/apt-private.sh ${arch:+--arch "$arch"} "$@"
}

tmp=$out.tmp
trap 'rm -rf "$tmp"; common_end' EXIT
rm -rf "$tmp"
mkdir -p "$tmp/root"
step "kernel $want: reading the package lists of $suite" apt "$lists" "$suite" main update || {
	step_show 5
	fail "the package lists of $suite cannot be had (above: why)"
}

if [ -f "$out/complete" ]; then
	# Fetched when no modules were kept: once more, for them.
	release=$(cat "$out/release")
	step "kernel $want: fetching $release for its modules (70 to 110 MB to download)" \
		apt "$lists" "$suite" main unpack "$tmp/root" "linux-image-$release" || {
		step_show 5
		fail "the package linux-image-$release cannot be had (above: why): remove $out to fetch the kernel of now"
	}
	modules_keep "$tmp/root" "$tmp/modules" drm
	mv "$tmp/modules" "$out/"
	answer
fi
rm -rf "$out"
image=$(apt "$lists" "$suite" main depends "linux-image-$flavour" |
	grep '^linux-image-[0-9]' | head -n 1)
release=${image#linux-image-}
case $want/$release in
"newest/"[0-9]* | "$want/$version".*) ;;
*) fail "the kernel of $suite is ${release:-unknown}, not $want" ;;
esac
headers=linux-headers-$release
more=$(apt "$lists" "$suite" main depends "$headers" |
       grep -E '^linux-(headers|kbuild|base-[0-9].*)-' || true)
# The tools are to run here.
kbuild=
if [ -n "$arch" ]; then
	kbuild=$(echo "$more" | grep '^linux-kbuild-')
	more=$(echo "$more" | grep -v '^linux-kbuild-' || true)
fi
# Since 7.x the image's own package is empty.
more="$more $(apt "$lists" "$suite" main depends "$image" |
	grep '^linux-binary-' || true)"
# shellcheck disable=SC2086 # words
step "kernel $want: fetching and unpacking $release (85 to 125 MB to download, 100 MB of disk)" \
	apt "$lists" "$suite" main unpack "$tmp/root" "$image" "$headers" $more || {
	step_show 5
	fail "the packages of kernel $want cannot be had (above: why)"
}
kbuild_fetch()
{
	scripts/apt-private.sh "$cache/apt-$suite" "$suite" main update &&
		scripts/apt-private.sh "$cache/apt-$suite" "$suite" main unpack "$tmp/root" "$kbuild"
}
if [ -n "$kbuild" ]; then
	step "kernel $want: fetching its build tools (1 MB)" kbuild_fetch || {
		step_show 5
		fail "the package $kbuild cannot be had (above: why)"
	}
fi

foreign=
[ "${suite%-backports}" = "$VERSION_CODENAME" ] || foreign=${suite%-backports}
if [ -n "$foreign" ]; then
	libc_fetch()
	{
		scripts/apt-private.sh "$cache/apt-$foreign" "$foreign" main update &&
			scripts/apt-private.sh "$cache/apt-$foreign" "$foreign" main unpack "$tmp/libc" \
				libc6 libelf1t64 libzstd1 zlib1g libssl3t64
	}
	step "kernel $want: fetching the C library of $foreign, for its build tools (4 MB)" \
		libc_fetch || {
		step_show 5
		fail "the C library of $foreign cannot be had (above: why)"
	}
fi

vmlinuz=$(find "$tmp/root" -name 'vmlinuz*' -type f | head -n 1)
[ -n "$vmlinuz" ] || fail "no kernel in $image $more"
# The initramfs has hardly any modules but ours.
modules_keep "$tmp/root" "$tmp/modules" drm
rm -rf "$tmp"/root/lib/modules/*/kernel "$tmp"/root/usr/lib/modules/*/kernel
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
# Type information for the modules is made from vmlinux, by pahole: a package that
# the headers' package would have pulled in. Without vmlinux Kbuild leaves both out.
# Kbuild also warns where pahole is another than the kernel was built with.
rm -f "$out/build/vmlinux"
if [ -f "$out/build/include/config/auto.conf" ] &&
	[ -x "$out/build/scripts/pahole-version.sh" ]; then
	pahole=$("$out/build/scripts/pahole-version.sh" pahole) || pahole=0
	sed -i "s/^\(CONFIG_PAHOLE_VERSION\)=.*/\1=$pahole/" \
		"$out/build/include/config/auto.conf"
fi
if [ -n "$foreign" ]; then
	libc=$out/libc
	find "$root"/usr/lib/linux-kbuild-*/ -type f -perm -u+x | while read -r tool; do
		"$tool" </dev/null 2>&1 | grep -q 'GLIBC_.* not found' || continue
		mv "$tool" "$tool.real"
		printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s.real" "$@"\n' \
			"$(find "$libc" -name ld-linux-x86-64.so.2 -type f | head -n 1)" \
			"$libc/usr/lib/x86_64-linux-gnu" "$tool" >"$tool"
		chmod +x "$tool"
	done
	# What this machine's compiler lacks.
	sed -i '/CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT/d' \
		"$out/build/include/config/auto.conf" \
		"$out/build/include/generated/autoconf.h"
	sed -i 's/gcc-[0-9]*$/gcc/' "$out/build/.kernelvariables"
fi
# Nothing that a package manager would have brought may be missing.
lacking=$(find "$root"/usr/lib/linux-kbuild-*/ -type f -perm -u+x ! -name '*.real' -exec ldd {} + 2>/dev/null |
	awk '/not found/ {print $1}' | sort -u | paste -s -d ' ')
[ -z "$lacking" ] || fail "the build tools of kernel $want lack $lacking; install the packages that have them"
compiler=$(sed -n 's/.*\(gcc-[0-9]*\)$/\1/p' "$out/build/.kernelvariables" | head -n 1)
[ -z "$arch$compiler" ] || compiler=${arch:+aarch64-linux-gnu-}${compiler:-gcc}
[ -z "$compiler" ] || command -v "$compiler" >/dev/null ||
	fail "kernel $want is built with $compiler, which is not here; install the package $compiler"
touch "$out/complete"
answer
