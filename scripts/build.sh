#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds user space: build.sh FOLDER [meson options...]
set -eu

dir=${1:?usage: build.sh FOLDER [meson options...]}
shift
cd "$(dirname "$0")/.."
. scripts/common.sh

build()
{
	if [ ! -f "$dir/build.ninja" ]; then
		meson setup "$dir" "$@" || return 1
	elif [ $# -gt 0 ]; then
		meson configure "$dir" "$@" || return 1
	fi
	meson compile -C "$dir"
}

step "build: user space into $dir/ (half a minute the first time)" build "$@" || {
	step_show 60
	exit 1
}
grep -E 'warning:' "$step_log" >&2 || true
