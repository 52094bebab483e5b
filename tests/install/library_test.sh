#!/bin/sh
# SPDX-License-Identifier: MIT
# The library by itself: without the tests, without the command, static, in
# another Meson project, and for another architecture where there is a compiler.
#
#   library_test.sh BUILD_DIR
set -u

[ $# -eq 1 ] || {
	echo "usage: $0 BUILD_DIR" >&2
	exit 2
}
build=$(cd "$1" && pwd) || exit 2
root=$(cd "$(dirname "$0")/../.." && pwd)
MESON=${MESON:-meson}
CC=${CC:-cc}
. "$root/tests/install/check.sh"

# setup NAME OPTION...: configures $work/NAME for the prefix $work/NAME-prefix
setup()
{
	folder=$work/$1
	shift
	"$MESON" setup "$folder" "$root" --prefix="$folder-prefix" \
		--libdir=lib -Dbuildtype=plain -Dtests=disabled -Djson=disabled "$@"
}

# only_installed NAME: all that NAME builds is installed, but for one source
only_installed()
{
	"$MESON" introspect --targets "$work/$1" | python3 -c '
import json, sys
other = [t["name"] for t in json.load(sys.stdin)
         if not t["installed"] and t["name"] != "courier_ptx.c"]
print("not installed:", *other)
sys.exit(bool(other))'
}

# library_files: those of $work/alone-prefix
library_files()
{
	version=$(sed -n "s/^ *version: '\(.*\)',/\1/p" "$root/meson.build" | head -n 1)
	sort >"$work/want" <<END
include/gpumem.h
include/gpumemioctl.h
include/linux/gpumem.h
lib/libgpumem.so
lib/libgpumem.so.0
lib/libgpumem.so.$version
lib/pkgconfig/gpumem.pc
share/man/man3/gpumem.3
share/man/man4/gpumem.4
END
	files_below "$work/alone-prefix" | diff "$work/want" -
}

# quickstart PROGRAM LIBCUDA: it says hello, on the simulated GPU
quickstart()
{
	GPUMEM_BACKEND=sim GPUMEM_SIM_LIBCUDA=$2 "$1" >"$work/hello" || return 1
	cat "$work/hello"
	[ "$(cat "$work/hello")" = "hello (backend sim)" ]
}

# needs PROGRAM LIBRARY: it is loaded with the library
needs()
{
	readelf -d "$1" | grep -F "NEEDED" | grep -F "[$2"
}

# static_program NAME: examples/quickstart.c with the libgpumem.a of NAME
static_program()
{
	prefix=$work/$1-prefix
	options=$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig \
		pkg-config --static --cflags --libs gpumem) || return 1
	for option in -pthread -ldl; do
		case " $options " in
		*" $option "*) ;;
		*)
			echo "pkg-config --static says $options"
			return 1
			;;
		esac
	done
	# shellcheck disable=SC2086
	"$CC" -Wall -Wextra -Werror -o "$work/$1-program" \
		"$root/examples/quickstart.c" -Wl,-Bstatic $options \
		-Wl,-Bdynamic || return 1
	! needs "$work/$1-program" libgpumem
}

# shared_program: the same with the libgpumem.so of both
shared_program()
{
	# shellcheck disable=SC2046
	"$CC" -o "$work/shared" "$root/examples/quickstart.c" \
		$(PKG_CONFIG_PATH=$work/both-prefix/lib/pkgconfig \
			pkg-config --cflags --libs gpumem)
}

# hidden_symbols: a library that takes in libgpumem.a shows no more of it than
# libgpumem.so does
hidden_symbols()
{
	"$CC" -shared -o "$work/around.so" -Wl,--whole-archive \
		"$work/static-prefix/lib/libgpumem.a" -Wl,--no-whole-archive \
		-pthread -ldl || return 1
	nm -D --defined-only "$work/around.so" | awk '{ print $3 }' |
		grep -v '^gpumem_' >"$work/shown"
	cat "$work/shown"
	[ ! -s "$work/shown" ] &&
		nm -D --defined-only "$work/around.so" | grep -q ' gpumem_open$'
}

subproject()
{
	mkdir -p "$work/parent/subprojects" &&
		cp "$root/tests/install/parent/meson.build" \
			"$root/examples/quickstart.c" "$work/parent/" &&
		ln -s "$root" "$work/parent/subprojects/gpumem" &&
		"$MESON" setup "$work/parent-build" "$work/parent" \
			--wrap-mode=forcefallback "$@"
}

# targets NAME WANT...: what it builds, by name
targets()
{
	folder=$work/$1
	shift
	"$MESON" introspect --targets "$folder" | python3 -c '
import json, sys
print(*sorted(t["name"] for t in json.load(sys.stdin)))' >"$work/targets"
	cat "$work/targets"
	[ "$(cat "$work/targets")" = "$*" ]
}

check "configure without tests" setup full -Dtools=enabled -Dgdrapi=enabled -Dsim=enabled
check "without tests: no more than what is installed" only_installed full

check "configure the library alone" setup alone -Dtools=disabled \
	-Dgdrapi=disabled -Dsim=disabled -Dudev-rules-dir=no \
	-Dmodules-load-dir=no -Dsysusers-dir=no
check "the library alone: build" "$MESON" compile -C "$work/alone"
check "the library alone: install" "$MESON" install -C "$work/alone"
check "the library alone: its files" library_files

check "tests that lack what they need" fails "$MESON" setup \
	"$work/refused" "$root" -Dtests=enabled -Dtools=disabled

check "configure static" setup static -Ddefault_library=static
check "static: install" "$MESON" install -C "$work/static"
check "static: no shared library" [ ! -e "$work/static-prefix/lib/libgpumem.so" ]
check "static: no symbol but the interface" hidden_symbols
check "static: a program" static_program static
check "static: the program finds the simulated GPU" quickstart "$work/static-program" ''
check "static: the command runs" env GPUMEM_SIM_LIBCUDA= \
	"$work/static-prefix/bin/gpumem" demo --backend sim

check "configure static and shared" setup both -Ddefault_library=both \
	-Dtools=disabled -Dgdrapi=disabled
check "both: install" "$MESON" install -C "$work/both"
check "both: a static program" static_program both
check "both: the static program runs" quickstart "$work/both-program" ''
check "both: a program with the shared library" shared_program
check "both: it needs libgpumem.so.0" needs "$work/shared" libgpumem.so.0

check "configure a project with gpumem in subprojects/" subproject
check "subproject: the library alone" targets parent-build courier_ptx.c gpumem gpumem.3 quickstart
check "subproject: build" "$MESON" compile -C "$work/parent-build"
check "subproject: the program runs" quickstart "$work/parent-build/quickstart" \
	"$build/sim/libcuda.so.1"

check "without json-c though it is there" fails needs \
	"$work/static-prefix/bin/gpumem" libjson

if command -v aarch64-linux-gnu-gcc >/dev/null 2>&1; then
	cat >"$work/aarch64.ini" <<'END'
[binaries]
c = 'aarch64-linux-gnu-gcc'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
END
	check "aarch64: configure" setup aarch64 --cross-file "$work/aarch64.ini" --werror
	check "aarch64: builds without a warning" "$MESON" compile -C "$work/aarch64"
else
	echo "skip - aarch64: there is no aarch64-linux-gnu-gcc (Debian: gcc-aarch64-linux-gnu)"
fi
check_end
