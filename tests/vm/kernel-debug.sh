#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds a small 6.1 kernel with KASAN, lockdep, kmemleak, UBSAN and fault
# injection from Debian's source into the cache and prints its folder, laid out
# as kernel-fetch.sh does. debug.config says what is in it; a change builds anew.
# With --cached it builds nothing: it fails if there is none.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
. scripts/common.sh
cache=$(cache_dir)/kernels
sum=$(sha256sum <"$here/debug.config" | cut -c1-12)
out=$cache/debug-$sum
[ -f "$out/complete" ] && { echo "$out"; exit 0; }
[ "${1:-}" != --cached ] || exit 1
mkdir -p "$cache"
exec 9>"$cache/lock-debug"
flock 9
[ -f "$out/complete" ] && { echo "$out"; exit 0; }

scripts/setup.sh kernel
tmp=$out.tmp log=$cache/debug.log
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
echo "kernel-debug: building (several minutes, once)" >&2
{
	make O="$tmp/build" tinyconfig &&
		./scripts/kconfig/merge_config.sh -O "$tmp/build" "$tmp/build/.config" "$here/debug.config" &&
		make O="$tmp/build" -j"$(nproc)" bzImage &&
		make O="$tmp/build" -j"$(nproc)" modules
} >"$log" 2>&1 || {
	tail -40 "$log" >&2
	echo "kernel-debug: the build failed; its log is $log" >&2
	exit 1
}
# merge_config only mentions what Kconfig dropped; these must be there.
for opt in KASAN PROVE_LOCKING DEBUG_KMEMLEAK UBSAN DEBUG_ATOMIC_SLEEP FAILSLAB FAIL_PAGE_ALLOC \
	INTEL_IOMMU DMA_SHARED_BUFFER MODULES; do
	grep -q "^CONFIG_$opt=y" "$tmp/build/.config" || {
		echo "kernel-debug: CONFIG_$opt did not make it into the kernel" >&2
		exit 1
	}
done
cp "$tmp/build/arch/x86/boot/bzImage" "$tmp/vmlinuz"
make -s O="$tmp/build" kernelrelease >"$tmp/release"
# The build folder names its source folder: move both, then name it again.
find "$tmp/build" -name '*.o' -size +64k -delete
mv "$tmp" "$out"
make -s -C "$out/src" O="$out/build" outputmakefile >/dev/null 2>&1 || true
sed -i "s,$tmp,$out,g" "$out/build/Makefile"
ln -sfn "$out/src" "$out/build/source"
touch "$out/complete"
echo "$out"
