#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the release's tarball of the committed tree, and proves it: unpacked in
# another folder and without git it builds, and all tests pass that need no virtual
# machine. Prints the tarball's path and its SHA-256.
# usage: dist.sh BUILD
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh
build=${1:?usage: dist.sh BUILD}
scripts/setup.sh build test
scripts/version.sh check >&2
scripts/build.sh "$build"
step "dist: making the tarball" meson dist -C "$build" --no-tests || {
	step_show 5
	exit 1
}
name=gpumem-$(scripts/version.sh)
tarball=$build/meson-dist/$name.tar.xz
tar -C "$common_tmp" -xf "$tarball"
mkdir "$common_tmp/bin"
printf '#!/bin/sh\necho "git $*: a tarball has no repository" >&2\nexit 1\n' >"$common_tmp/bin/git"
chmod +x "$common_tmp/bin/git"
PATH=$common_tmp/bin:$PATH
step "dist: building it in a folder of its own and running the tests (5 minutes)" \
	make --no-print-directory -C "$common_tmp/$name" BUILD=build unit || {
	step_show 60
	exit 1
}
tail -n 1 "$step_log" >&2
(cd "$build/meson-dist" && sha256sum "$name.tar.xz" | tee "$name.tar.xz.sha256sum") >&2
echo "$tarball"
