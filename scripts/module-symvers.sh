#!/bin/sh
# SPDX-License-Identifier: MIT
# Prints the nvidia_p2p_* symbols that a built NVIDIA module exports, as lines of
# a Module.symvers: module-symvers.sh nvidia.ko[.xz|.zst|.gz]
#
# A symbol's version is a word of a __kcrctab section, and the symbol __crc_NAME
# says where. Before Linux 5.19 it is that symbol's value.
set -eu

ko=${1:?usage: module-symvers.sh nvidia.ko[.xz|.zst|.gz]}
for tool in objdump objcopy od; do
	command -v "$tool" >/dev/null || {
		echo "module-symvers: $tool is missing; install binutils" >&2
		exit 1
	}
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
case $ko in
*.xz) xz -dc "$ko" >"$tmp/ko" ;;
*.zst) zstd -dqc "$ko" >"$tmp/ko" ;;
*.gz) gzip -dc "$ko" >"$tmp/ko" ;;
*) ln -s "$(readlink -f "$ko")" "$tmp/ko" ;;
esac
objdump -t "$tmp/ko" >"$tmp/symbols"
for s in __kcrctab __kcrctab_gpl; do
	objcopy -O binary --only-section="$s" --set-section-flags "$s=alloc" \
		"$tmp/ko" "$tmp/$s" 2>/dev/null || : >"$tmp/$s"
done

export=EXPORT_SYMBOL
grep -q ' __ksymtab_gpl.* __ksymtab_nvidia_p2p_get_pages$' "$tmp/symbols" &&
	export=EXPORT_SYMBOL_GPL
awk -F '\t' '$2 ~ / __crc_nvidia_p2p_[a-z_]*$/ {
	n = split($1, at, " "); split($2, name, " __crc_")
	print at[1], at[n], name[2]
}' "$tmp/symbols" >"$tmp/found"
while read -r value section name; do
	case $section in
	\*ABS\*) crc=$(printf %08x "0x$value") ;;
	*) crc=$(od -An -tx4 -j "$((0x$value))" -N 4 "$tmp/$section" | tr -d ' ') ;;
	esac
	[ ${#crc} = 8 ] || {
		echo "module-symvers: $ko: found no version of $name in $section" >&2
		exit 1
	}
	printf '0x%s\t%s\tnvidia\t%s\t\n' "$crc" "$name" "$export"
done <"$tmp/found" >"$tmp/out"
[ -s "$tmp/out" ] || {
	echo "module-symvers: $ko exports no nvidia_p2p_* symbol with a version" >&2
	exit 1
}
cat "$tmp/out"
