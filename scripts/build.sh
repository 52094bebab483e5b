#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds user space: build.sh FOLDER [meson options...]
set -eu

dir=${1:?usage: build.sh FOLDER [meson options...]}
shift
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{
	if [ ! -f "$dir/build.ninja" ]; then
		meson setup "$dir" "$@"
	elif [ $# -gt 0 ]; then
		meson configure "$dir" "$@"
	fi
	meson compile -C "$dir"
} >"$log" 2>&1 || {
	cat "$log" >&2
	exit 1
}
grep -E 'warning:' "$log" >&2 || true
