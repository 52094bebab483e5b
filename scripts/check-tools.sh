#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the checkers that Debian 12 has not, or not new enough, from PyPI into a
# virtual environment in the cache, and prints its folder of programs. Exits 77 where
# they cannot be had.
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh
packages="reuse==6.2.0 check-jsonschema==0.39.0"
out=$(cache_dir)/check-tools
# Another list is another environment.
stamp=$out/packages
[ "$(cat "$stamp" 2>/dev/null)" = "$packages" ] && { echo "$out/bin"; exit 0; }
rm -rf "$out"
mkdir -p "$out"
# shellcheck disable=SC2086 # words
{
	python3 -m venv "$out" &&
		"$out/bin/pip" --quiet --disable-pip-version-check install $packages
} >&2 || {
	say "check-tools: $packages could not be installed from PyPI (above: why)"
	exit 77
}
echo "$packages" >"$stamp"
echo "$out/bin"
