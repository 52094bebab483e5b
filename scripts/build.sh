#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds user space: build.sh FOLDER [meson options...]
set -eu

dir=${1:?usage: build.sh FOLDER [meson options...]}
shift
cd "$(dirname "$0")/.."
. scripts/common.sh

# One at a time in a folder: Meson refuses a second.
mkdir -p "$dir"
exec 8>"$dir/.gpumem-lock"
flock -n 8 || {
	say "build: waiting for another build in $dir/"
	flock 8
}

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
