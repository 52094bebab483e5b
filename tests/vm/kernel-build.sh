#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds a small 6.1 kernel from Debian's source into the cache and prints its folder,
# laid out as kernel-fetch.sh does: debug, with KASAN, lockdep, kmemleak, UBSAN and
# fault injection, or 64k, of arm64 with pages of 64 KiB, which no kernel of Debian's
# has. KERNEL.config says what is in it; a change builds anew. With --cached it builds
# nothing: it fails if there is none.
# usage: kernel-build.sh debug|64k [--cached]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
. scripts/common.sh
want=${1:-}
case $want in
debug)
	purposes=kernel image=arch/x86/boot/bzImage
	must="KASAN PROVE_LOCKING DEBUG_KMEMLEAK UBSAN DEBUG_ATOMIC_SLEEP FAILSLAB FAIL_PAGE_ALLOC
		INTEL_IOMMU DMA_SHARED_BUFFER MODULES"
	;;
64k)
	purposes="kernel vm-arm64" image=arch/arm64/boot/Image
	export ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-
	must="ARM64_64K_PAGES ARM_SMMU_V3 SERIAL_8250_PCI DMA_SHARED_BUFFER MODULES"
	;;
*)
	say "usage: kernel-build.sh debug|64k [--cached]"
	exit 2
	;;
esac
cache=$(cache_dir)/kernels
sum=$(sha256sum <"$here/$want.config" | cut -c1-12)
out=$cache/$want-$sum
[ -f "$out/complete" ] && { echo "$out"; exit 0; }
[ "${2:-}" != --cached ] || exit 1
mkdir -p "$cache"
exec 9>"$cache/lock-$want"
flock 9
[ -f "$out/complete" ] && { echo "$out"; exit 0; }

# shellcheck disable=SC2086 # words
scripts/setup.sh $purposes
tmp=$out.tmp log=$cache/$want.log
# Left by a run that was killed, in the place that this one has locked.
rm -rf "$out" "$tmp"
trap 'rm -rf "$tmp"; common_end' EXIT
mkdir -p "$tmp/deb"
apt="$here/../../scripts/apt-private.sh"
# Debian 12's, whichever release this is.
"$apt" "$tmp/apt" bookworm main update >&2
"$apt" "$tmp/apt" bookworm main unpack "$tmp/deb" linux-source-6.1 >&2
mkdir "$tmp/src" "$tmp/build"
tar -C "$tmp/src" --strip-components=1 -xf "$tmp/deb/usr/src/linux-source-6.1.tar.xz"
rm -rf "$tmp/deb" "$tmp/apt"
cd "$tmp/src"
echo "kernel-build: building the kernel $want (several minutes, once)" >&2
{
	make O="$tmp/build" tinyconfig &&
		./scripts/kconfig/merge_config.sh -O "$tmp/build" "$tmp/build/.config" "$here/$want.config" &&
		make O="$tmp/build" -j"$(nproc)" "${image##*/}" &&
		make O="$tmp/build" -j"$(nproc)" modules
} >"$log" 2>&1 || {
	tail -40 "$log" >&2
	echo "kernel-build: the build failed; its log is $log" >&2
	exit 1
}
# merge_config only mentions what Kconfig dropped; these must be there.
for opt in $must; do
	grep -q "^CONFIG_$opt=y" "$tmp/build/.config" || {
		echo "kernel-build: CONFIG_$opt did not make it into the kernel" >&2
		exit 1
	}
done
cp "$tmp/build/$image" "$tmp/vmlinuz"
make -s O="$tmp/build" kernelrelease >"$tmp/release"
# The build folder names its source folder: move both, then name it again.
find "$tmp/build" -name '*.o' -size +64k -delete
mv "$tmp" "$out"
make -s -C "$out/src" O="$out/build" outputmakefile >/dev/null 2>&1 || true
sed -i "s,$tmp,$out,g" "$out/build/Makefile"
ln -sfn "$out/src" "$out/build/source"
touch "$out/complete"
echo "$out"
