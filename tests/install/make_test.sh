#!/bin/sh
# SPDX-License-Identifier: MIT
# make install and make uninstall, of a copy of the sources in a path with a
# space. Run by root, the copy is another user's.
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
CC=${CC:-cc}
. "$root/tests/install/check.sh"

tree="$work/the sources"
prefix="$work/the prefix"
unset DESTDIR PREFIX LIBDIR BUILD
chmod 755 "$work"
mkdir "$tree" "$work/bin" "$work/caller"
tar -C "$root" --exclude=./.git --exclude='./build*' -cf - . | tar -C "$tree" -xf - || exit 1

# Stands in for ldconfig: says when it changes the cache.
cat >"$work/bin/ldconfig" <<END
#!/bin/sh
case \$* in
'') echo ran >>"$work/ldconfig" ;;
*) exec /sbin/ldconfig "\$@" ;;
esac
END
# A Debian without dpkg-dev, where Meson does not know the libraries' folder.
cat >"$work/bin/dpkg-architecture" <<'END'
#!/bin/sh
exit 1
END
chmod +x "$work/bin/ldconfig" "$work/bin/dpkg-architecture"
PATH=$work/bin:$PATH

# The user whose sources they are.
user=$(id -u)
if [ "$user" = 0 ] && setpriv --reuid 65534 --regid 65534 --clear-groups \
	test -x "$work/bin/ldconfig"; then
	user=65534
	chown -R 65534:65534 "$tree"
fi
as_user()
{
	if [ "$user" = "$(id -u)" ]; then
		"$@"
	else
		HOME=$work setpriv --reuid "$user" --regid "$user" --clear-groups "$@"
	fi
}

# The folders' own times do not count.
tree_list()
{
	find "$1" ! -type d -printf '%p %M %u %s %T@ %l\n' -o -printf '%p %M %u\n' | sort
}

# same LIST FOLDER: what the list has, is there
same()
{
	tree_list "$2" | diff "$1" -
}

# refused TEXT ARGUMENT...: make install says so, and does nothing
refused()
{
	text=$1
	shift
	if make -C "$tree" install "$@" >"$work/said" 2>&1; then
		echo "it did something"
		return 1
	fi
	cat "$work/said"
	grep -qF -e "$text" "$work/said"
}

# said TEXT: the last make did
said()
{
	cat "$work/said"
	grep -qF -e "$1" "$work/said"
}

# make_says ARGUMENT...
make_says()
{
	make --no-print-directory -C "$tree" "$@" >"$work/said" 2>&1
	rc=$?
	cat "$work/said"
	return $rc
}

# from_the_caller ARGUMENT...: the same, called in the caller's folder
from_the_caller()
{
	(cd "$work/caller" && export PWD && make_says "$@")
}

libraries_in()
{
	[ -f "$1/libgpumem.so.0" ] && [ -f "$1/libgdrapi.so.2" ] &&
		[ -f "$1/pkgconfig/gpumem.pc" ] && [ -f "$1/gpumem/sim/libcuda.so.1" ]
}

# The README's program, with what make install says to set.
program()
{
	PKG_CONFIG_PATH=$prefix/lib/pkgconfig
	export PKG_CONFIG_PATH
	eval "set -- $(pkg-config --cflags --libs gpumem)"
	"$CC" -o "$work/program" "$root/examples/quickstart.c" "$@" || return 1
	said=$(GPUMEM_BACKEND=sim LD_LIBRARY_PATH=$prefix/lib "$work/program")
	echo "$said"
	[ "$said" = "hello (backend sim)" ]
}

# Wrong names, before anything is built.
tree_list "$tree" >"$work/tree"
check "an empty PREFIX" refused 'PREFIX is empty' PREFIX=
check "a PREFIX with ~" refused 'did not replace the ~' PREFIX='~/gpumem'
check "a relative PREFIX" refused 'is not a whole path' PREFIX=gpumem
check "a PREFIX with .." refused 'cannot be part' PREFIX=/usr/../gpumem
check "a DESTDIR with ~" refused 'did not replace the ~' DESTDIR='~/gpumem'
check "a relative DESTDIR from nowhere" refused 'is not a whole path' PWD= DESTDIR=gpumem
check "nothing was done" same "$work/tree" "$tree"

check "build in a path with a space" as_user "$tree/scripts/build.sh" build -Dtests=disabled

# DESTDIR, from another folder than the sources'.
tree_list "$tree" >"$work/tree"
check "make install DESTDIR" from_the_caller install DESTDIR="the stage"
check "DESTDIR is in the folder of who called make" [ -x "$work/caller/the stage/usr/local/bin/gpumem" ]
check "the sources and the build folder are as they were" same "$work/tree" "$tree"
check "DESTDIR: ldconfig did not run" [ ! -e "$work/ldconfig" ]
if [ -f /etc/debian_version ]; then
	check "Debian without dpkg-dev: the libraries are in lib" \
		libraries_in "$work/caller/the stage/usr/local/lib"
fi
check "make uninstall DESTDIR" from_the_caller uninstall DESTDIR="the stage"
check "DESTDIR is gone" [ ! -e "$work/caller/the stage" ]

# A prefix in which there is something.
mkdir -p "$prefix/lib/udev" "$prefix/include"
echo "int other;" >"$prefix/include/other.h"
tree_list "$prefix" >"$work/before"
check "make install PREFIX" make_says install PREFIX="$prefix"
if [ "$(id -u)" = 0 ]; then
	check "ldconfig ran" [ -s "$work/ldconfig" ]
	check "make install says that ldconfig ran" said "ran ldconfig"
fi
check "make install says what to do for the loader" said "LD_LIBRARY_PATH=$prefix/lib"
check "make install says what to do for pkg-config" said "PKG_CONFIG_PATH=$prefix/lib/pkgconfig"
check "the README's program" program
check "the installed command" env GPUMEM_BACKEND=sim "$prefix/bin/gpumem" demo
check "make install LIBDIR, over it" make_says install PREFIX="$prefix" LIBDIR=lib/else
check "LIBDIR: the libraries are there" libraries_in "$prefix/lib/else"
check "the user's next build" as_user make -C "$tree" build
check "make uninstall PREFIX" make_says uninstall PREFIX="$prefix"
check "the prefix is as it was" same "$work/before" "$prefix"
check "make uninstall again" fails make_says uninstall PREFIX="$prefix"
check "it says that there is nothing" said "make install put nothing below $prefix"

# What others made stays, and the build folder is not needed.
check "set up with a libdir" as_user meson configure "$tree/build" --libdir=lib/own
check "make install of it" make_says install PREFIX="$prefix"
check "the libraries are in that libdir" libraries_in "$prefix/lib/own"
echo "int mine;" >"$prefix/include/linux/mine.h"
echo "# mine" >>"$prefix/lib/udev/rules.d/60-gpumem.rules"
check "remove the build folder" rm -r "$tree/build"
check "make uninstall without a build folder" make_says uninstall PREFIX="$prefix"
check "it says what it left" said "left $prefix/lib/udev/rules.d/60-gpumem.rules"
check "only what others made is there" [ "$(files_below "$prefix" | tr '\n' ' ')" = \
	"include/linux/mine.h include/other.h lib/udev/rules.d/60-gpumem.rules " ]

check_end
