#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs gpumem twice, from BUILD_DIR below a DESTDIR and from a build of its
# own into a temporary prefix, and uses it from there: everything is in its
# place, examples/quickstart.c builds with pkg-config and runs on the simulated
# GPU, and nothing points back into a build.
#
#   install_test.sh BUILD_DIR
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

# one_of PATTERN: exactly one file below $tree/$prefix has this name
one_of()
{
	found=$(find "$tree/$prefix" -path "$tree/$prefix/$1" | wc -l)
	[ "$found" -eq 1 ] || {
		echo "$found files are called $1"
		return 1
	}
}

# Everything that a user gets; $tree is the DESTDIR, $prefix the prefix.
check_files()
{
	for file in bin/gpumem include/gpumem.h include/linux/gpumem.h \
		include/gpumemioctl.h 'lib*/libgpumem.so' \
		'lib*/libgpumem.so.0' 'lib*/libgpumem.so.0.*' \
		'lib*/pkgconfig/gpumem.pc' 'lib*/gpumem/sim/libcuda.so.1' \
		include/gdrapi.h 'lib*/libgdrapi.so' 'lib*/libgdrapi.so.2' \
		'lib*/libgdrapi.so.2.6' 'lib*/pkgconfig/gdrapi.pc' \
		share/man/man1/gpumem.1 share/man/man3/gpumem.3 \
		share/man/man4/gpumem.4 lib/udev/rules.d/60-gpumem.rules \
		lib/modules-load.d/gpumem.conf lib/sysusers.d/gpumem.conf \
		share/bash-completion/completions/gpumem; do
		check "$1: $file" one_of "$file"
	done
}

not_grep()
{
	! grep -rlF -e "$1" "$2"
}

no_runpath()
{
	find "$work/prefix" -type f \( -name 'lib*.so*' -o -path '*/bin/*' \) \
		-exec readelf -d {} + >"$work/dynamic" || return 1
	# One to gpumem's own library is right; any other is not.
	grep -E 'R(UN)?PATH' "$work/dynamic" |
		grep -vF -e "[\$ORIGIN/../lib" -e "[\$ORIGIN]" >"$work/paths"
	cat "$work/paths"
	[ ! -s "$work/paths" ]
}

quickstart_says_hello()
{
	GPUMEM_BACKEND=sim LD_LIBRARY_PATH=$libdir "$work/quickstart" \
		>"$work/hello" || return 1
	cat "$work/hello"
	[ "$(cat "$work/hello")" = "hello (backend sim)" ]
}

demo_succeeds()
{
	"$work/prefix/bin/gpumem" demo --backend sim \
		>"$work/demo" || return 1
	tail -n 1 "$work/demo"
	[ "$(tail -n 1 "$work/demo")" = "Test successful" ]
}

# A program that includes one header alone; $2 is the compiler and language.
header_alone()
{
	printf '#include <%s>\nint main(void) { return 0; }\n' "$1" |
		$2 -Wall -Wextra -Werror -pedantic -fsyntax-only \
			-I"$work/prefix/include" -
}

tree=$work/destdir
prefix=$("$MESON" introspect "$build" --buildoptions | python3 -c '
import json, sys
print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))
') || exit 1
prefix=${prefix#/}
check "install below DESTDIR" env DESTDIR="$tree" \
	"$MESON" install -C "$build" || exit 1
check_files DESTDIR
escaped=$(find "$tree" -type f ! -path "$tree/$prefix/*" | head)
check "DESTDIR: nothing outside /$prefix" [ -z "$escaped" ]

# Clients open libgdrapi.so and the simulated libcuda.so without their headers.
check "install what programs need to run" env DESTDIR="$work/runtime" \
	"$MESON" install -C "$build" --tags runtime || exit 1
tree=$work/runtime
for file in bin/gpumem 'lib*/libgpumem.so.0' 'lib*/libgdrapi.so' \
	'lib*/libgdrapi.so.2' 'lib*/gpumem/sim/libcuda.so' \
	'lib*/gpumem/sim/libcuda.so.1'; do
	check "runtime: $file" one_of "$file"
done
check "runtime: no header" [ ! -e "$tree/$prefix/include" ]

check "configure a build for a prefix" "$MESON" setup "$work/build" "$root" \
	--prefix="$work/prefix" --buildtype=release -Dtests=disabled || exit 1
check "install into a prefix" "$MESON" install -C "$work/build" || exit 1
tree=$work
prefix=prefix
check_files prefix
libdir=$(dirname "$(find "$work/prefix" -name libgpumem.so.0)")
PKG_CONFIG_PATH=$libdir/pkgconfig
export PKG_CONFIG_PATH

check "no trace of the build" not_grep "$work/build" "$work/prefix"
check "no trace of the sources" not_grep "$root" "$work/prefix"
check "no path to other libraries" no_runpath

for header in gpumem.h gdrapi.h linux/gpumem.h gpumemioctl.h; do
	check "$header as C11" header_alone "$header" "$CC -std=c11 -x c"
	if command -v c++ >/dev/null 2>&1; then
		check "$header as C++" header_alone "$header" \
			'c++ -std=c++11 -x c++'
	else
		echo "skip - $header as C++: there is no C++ compiler"
	fi
done

version=$("$work/prefix/bin/gpumem" --version | sed 's/^gpumem //')
check "pkg-config gives the command's version, $version" \
	pkg-config --exact-version="$version" gpumem
# shellcheck disable=SC2046
check "quickstart builds with pkg-config" "$CC" -Wall -Wextra -Werror \
	-o "$work/quickstart" "$root/examples/quickstart.c" \
	$(pkg-config --cflags --libs gpumem)
lines=$(wc -l <"$root/examples/quickstart.c")
check "quickstart has at most 30 lines" [ "$lines" -le 30 ]
check "quickstart runs on the simulated GPU" quickstart_says_hello
check "the installed gpumem demo" demo_succeeds

# A program of GDRCopy's interface, as its clients build and load it.
gdrapi_client()
{
	cat >"$work/client.c" <<'END'
#include <gdrapi.h>

int main(void)
{
	gdr_t g = gdr_open();
	int major, minor;

	gdr_runtime_get_version(&major, &minor);
	return !g || major != 2 || minor != 6 || gdr_close(g);
}
END
	# shellcheck disable=SC2046
	"$CC" -Wall -Wextra -Werror -o "$work/client" "$work/client.c" \
		$(pkg-config --cflags --libs gdrapi) &&
		GPUMEM_BACKEND=sim LD_LIBRARY_PATH=$libdir "$work/client"
}

check "pkg-config gives gdrapi 2.6" pkg-config --exact-version=2.6 gdrapi
check "a client of GDRCopy's interface" gdrapi_client

# completes WANT WORD...: what bash offers for the last word includes WANT
completes()
{
	PATH=$work/prefix/bin:$PATH LD_LIBRARY_PATH=$libdir bash -c '
		. "$1"
		want=$2
		shift 2
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		_gpumem "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
		printf "%s\n" "${COMPREPLY[@]}"
		printf "%s\n" "${COMPREPLY[@]}" | grep -qx -e "$want"' \
		bash "$work/prefix/share/bash-completion/completions/gpumem" "$@"
}

# The node is for a group, never for everyone.
rule_is_narrow()
{
	rule=$work/prefix/lib/udev/rules.d/60-gpumem.rules
	grep -q '^[^#]*KERNEL=="gpumem".*GROUP="gpumem".*MODE="0660"' "$rule" &&
		! grep -v '^#' "$rule" | grep -qE 'MODE="?0?66[1-7]' &&
		grep -qx 'g gpumem - -' "$work/prefix/lib/sysusers.d/gpumem.conf" &&
		grep -qx gpumem "$work/prefix/lib/modules-load.d/gpumem.conf"
}

# The source for DKMS is whole: it has all that the module's build names.
module_source()
{
	DESTDIR=$work/module "$root/scripts/install-module.sh" || return 1
	src=$(find "$work/module/usr/src" -maxdepth 1 -name 'gpumem-[0-9]*')
	grep -qx "PACKAGE_VERSION=\"${src##*-}\"" "$src/dkms.conf" || return 1
	# shellcheck disable=SC2013 # names of files are words
	for object in $(sed -n '/^gpumem-y/,/[^\\]$/p' "$root/kernel/gpumem/Kbuild" |
			grep -o '[a-z0-9_]*\.o'); do
		[ -f "$src/kernel/gpumem/${object%.o}.c" ] || {
			echo "${object%.o}.c is missing"
			return 1
		}
	done
	[ -f "$src/uapi/linux/gpumem.h" ] && [ -x "$src/scripts/module.sh" ] || return 1
	DESTDIR=$work/module "$root/scripts/install-module.sh" uninstall
	[ ! -e "$src" ]
}

check "the device node is for the group gpumem" rule_is_narrow
check "the module's source for DKMS" module_source
check "completion: commands" completes demo gpumem de
check "completion: options" completes --size gpumem demo --si
check "completion: backends" completes kmod gpumem demo --backend k

# Each can be left out or put elsewhere.
check "configure without system files" "$MESON" configure "$work/build" \
	--prefix="$work/other" -Dudev-rules-dir=no -Dmodules-load-dir=no \
	-Dsysusers-dir=no -Dbash-completion-dir="$work/other/complete"
check "install without system files" "$MESON" install -C "$work/build"
check "no udev rule, modules-load or sysusers file" \
	sh -c '! find "$1" -name "*.d" | grep .' sh "$work/other"
check "completion elsewhere" [ -f "$work/other/complete/gpumem" ]

check_end
