#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints the qemu-system-aarch64 that the VM runs in: the machine's own, or, where that
# is older than 9.0, the one of Debian's backports, unpacked in the cache. Before 9.0 an
# unaligned access of Device memory works, which on arm64 faults.
set -eu

cd "$(dirname "$0")/../.."
. scripts/common.sh
version=$(qemu-system-aarch64 --version | sed -n 's/.* version \([0-9]*\).*/\1/p')
if [ "$version" -ge 9 ]; then
	command -v qemu-system-aarch64
	exit
fi
out=$(cache_dir)/qemu-arm64
run=$out/run
[ ! -x "$run" ] || { echo "$run"; exit; }
mkdir -p "$(dirname "$out")"
exec 9>"$out.lock"
flock 9
[ ! -x "$run" ] || { echo "$run"; exit; }
fetch()
{
	scripts/apt-private.sh "$common_tmp/apt" backports main update &&
		scripts/apt-private.sh "$common_tmp/apt" backports main unpack "$out.tmp" \
			qemu-system-arm qemu-system-data
}
rm -rf "$out" "$out.tmp"
step "fetching QEMU of Debian's backports (15 MB)" fetch || {
	step_show 5
	say "qemu-fetch: qemu-system-arm of backports cannot be had (above: why)"
	exit 1
}
# Its libraries are those of the package that is installed.
lacking=$(ldd "$out.tmp/usr/bin/qemu-system-aarch64" | awk '/not found/ {print $1}' | paste -s -d ' ')
[ -z "$lacking" ] || {
	say "qemu-fetch: QEMU of Debian's backports lacks $lacking; install the packages that have them"
	exit 1
}
# shellcheck disable=SC2016 # it is the script's
printf '#!/bin/sh\nexec "%s" -L "%s" "$@"\n' "$out/usr/bin/qemu-system-aarch64" \
	"$out/usr/share/qemu" >"$out.tmp/run"
chmod +x "$out.tmp/run"
mv "$out.tmp" "$out"
echo "$run"
