#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs user space below PREFIX, below DESTDIR if it is set, and removes it
# again: the list of what was installed lies in PREFIX/share/gpumem/manifest.
# The build folder BUILD is read, never written: what differs in the installed
# programs is built in a copy of it.
#
# usage: install.sh install|uninstall
# Environment: PREFIX, DESTDIR, BUILD as for make; LIBDIR, the libraries' folder
# below PREFIX, instead of the one where this system looks; GPUMEM_PWD, the folder
# from which a relative DESTDIR is meant.
set -eu

cd "$(dirname "$0")/.."
. scripts/common.sh
what=${1:-}
build=${BUILD:-build}
prefix=${PREFIX-/usr/local}
dest=${DESTDIR:-}
PATH=$PATH:/usr/sbin:/sbin
newline='
'

fail()
{
	echo "$what: $*" >&2
	exit 1
}

case $prefix in
'') fail "PREFIX is empty: name a folder, such as PREFIX=/usr/local" ;;
'~'*) fail "PREFIX=$prefix: the shell did not replace the ~: write PREFIX=\"\$HOME${prefix#\~}\"" ;;
[!/]*) fail "PREFIX=$prefix is not a whole path: write PREFIX=\"\$PWD/$prefix\"" ;;
*"$newline"* | */../* | */..) fail "PREFIX=$prefix: a line break or .. cannot be part of it" ;;
esac
case $dest in
'' | /*) ;;
'~'*) fail "DESTDIR=$dest: the shell did not replace the ~: write DESTDIR=\"\$HOME${dest#\~}\"" ;;
*)
	[ -n "${GPUMEM_PWD:-}" ] ||
		fail "DESTDIR=$dest is not a whole path, and sudo does not tell from which folder it is meant: write DESTDIR=\"\$PWD/$dest\""
	dest=$GPUMEM_PWD/$dest
	;;
esac
while [ "$prefix" != "${prefix%/}" ]; do prefix=${prefix%/}; done
while [ "$dest" != "${dest%/}" ]; do dest=${dest%/}; done
list=$prefix/share/gpumem/manifest # below DESTDIR
work=$common_tmp/install
mkdir "$work"
# They go when the script ends.
copy='' # of the build folder
new=''  # a file on the way to its place
trap 'rm -rf "$copy" "$new"; common_end' EXIT

# sum_of FILE
sum_of()
{
	sha256sum <"$1" | cut -d ' ' -f 1
}

# ldconfig_run: where it is the loader's business
ldconfig_run()
{
	if [ -z "$dest" ] && [ "$(id -u)" = 0 ] && command -v ldconfig >/dev/null; then
		ldconfig
		echo "$what: ran ldconfig"
	fi
}

# libdir_choose: where this system's loader and pkg-config look, below PREFIX.
# The C library is in such a folder: lib64, lib, or, on Debian, one of the
# architecture in lib. Outside /usr Debian looks in lib, too.
libdir_choose()
{
	libc=$(readlink -f "$(${CC:-cc} -print-file-name=libc.so.6)" || true)
	libc=${libc%/*}
	case $libc in
	*/lib64) echo lib64 ;;
	*/lib/*-linux-*)
		[ "$prefix" = /usr ] && echo "lib/${libc##*/}" || echo lib
		;;
	*) echo lib ;;
	esac
}

# may_write FOLDER: or where it will be made
may_write()
{
	dir=$1
	while [ ! -e "$dir" ]; do
		dir=$(dirname "$dir")
	done
	[ -d "$dir" ] && [ -w "$dir" ]
}

# copy_make: $copy is what the build folder is copied into. Beside that folder the
# same commands compile the same files, so that most of them need not.
copy_make()
{
	if [ -f "$build/build.ninja" ]; then
		beside=$(cd "$build/.." && pwd)
		copy=$(mktemp -d "$beside/build-install.XXXXXX" 2>/dev/null) || true
	fi
	[ -n "$copy" ] || copy=$(mktemp -d "${TMPDIR:-/tmp}/gpumem-build.XXXXXX")
}

# copy_build: builds what is installed, for this PREFIX, and puts it into
# $work/stage
copy_build()
{
	set -- -Dtests=disabled --prefix "${prefix:-/}" --libdir "$libdir"
	if [ -f "$build/build.ninja" ]; then
		cp -a "$build/." "$copy" || return 1
		set -- --reconfigure "$@"
	fi
	meson setup "$@" "$copy" &&
		meson compile -C "$copy" &&
		meson install -C "$copy" --no-rebuild --destdir "$work/stage"
}

# stage_list: of $work/stage, each a line: kind, what tells it from another
# file, path; folders only where they are still to be made
stage_list()
{
	(cd "$work/stage" && find . | sed 's,^\.,,') | while IFS= read -r path; do
		from=$work/stage$path
		if [ -L "$from" ]; then
			printf '%s\n' "link $(readlink "$from") $path"
		elif [ -f "$from" ]; then
			printf '%s\n' "file $(sum_of "$from") $path"
		elif [ ! -d "$dest$path/" ]; then
			printf '%s\n' "folder - ${path:-/}"
		fi
	done
}

# list_merge OLD NEW: NEW, and what OLD alone has
list_merge()
{
	cat "$2"
	[ ! -f "$1" ] || while read -r kind mark path; do
		cut -d ' ' -f 3- "$2" | grep -qxF -e "$path" ||
			printf '%s\n' "$kind $mark $path"
	done <"$1"
}

# place LIST: puts what it names from $work/stage into its place. A file that is
# in use is replaced, not written into.
place()
{
	[ -d "$dest/" ] || mkdir -p "$dest"
	while read -r kind _ path; do
		to=$dest$path
		case $kind in
		folder) [ -d "$to" ] || mkdir "$to" ;;
		*)
			new=$to.new$$
			cp -P --preserve=mode,timestamps "$work/stage$path" "$new"
			mv -fT "$new" "$to"
			new=
			;;
		esac
	done <"$1"
}

# looks_in FOLDER: reads folders, is it among them?
looks_in()
{
	while IFS= read -r dir; do
		[ "$(readlink -f "$dir")" != "$(readlink -f "$1")" ] || return 0
	done
	return 1
}

# advise: says what a program needs to find the library, if it needs anything
advise()
{
	dir=$prefix/$libdir
	if ! ldconfig -NXv 2>/dev/null | sed -n 's,^\(/[^:]*\):.*,\1,p' | looks_in "$dir"; then
		echo "$what: the loader does not look in $dir: link programs with"
		echo "  -Wl,-rpath,$dir, or set LD_LIBRARY_PATH=$dir, or, as root,"
		echo "  write the folder into /etc/ld.so.conf.d/gpumem.conf and run ldconfig"
	elif [ "$(id -u)" != 0 ]; then
		echo "$what: the loader finds the library after root has run ldconfig"
	fi
	if command -v pkg-config >/dev/null && ! pkg-config --variable pc_path pkg-config 2>/dev/null | tr : '\n' |
		looks_in "$dir/pkgconfig"; then
		echo "$what: pkg-config does not look there: set PKG_CONFIG_PATH=$dir/pkgconfig"
	fi
}

install_files()
{
	may_write "$dest$prefix" ||
		fail "you may not write to $dest$prefix: use sudo, or a PREFIX of your own, such as PREFIX=\"\$HOME/.local\""
	scripts/setup.sh build

	libdir=${LIBDIR:-}
	# One that the build folder was set up with.
	[ -n "$libdir" ] || libdir=$(sed -n 's/^libdir = //p' \
		"$build/meson-private/cmd_line.txt" 2>/dev/null || true)
	[ -n "$libdir" ] || libdir=$(libdir_choose)
	libdir=${libdir#"$prefix/"}
	case $libdir in
	/* | ../* | */../* | */.. | ..)
		fail "the libraries' folder $libdir is not below PREFIX=$prefix: name another with LIBDIR" ;;
	esac
	copy_make
	umask 022
	step "$what: building for $dest${prefix:-/} (half a minute the first time)" copy_build || {
		step_show 60
		fail "building failed; the lines above say why"
	}

	# The list first: what a failure leaves can be uninstalled.
	mkdir -p "$(dirname "$work/stage$list")"
	stage_list >"$work/new"
	list_merge "$dest$list" "$work/new" >"$work/stage$list"
	{
		grep '^folder' "$work/new" || true
		printf '%s\n' "file - $list"
		grep -v '^folder' "$work/new"
	} >"$work/order"
	place "$work/order"
	echo "$what: $(grep -vc '^folder' "$work/new") files below $dest$prefix, libraries in $dest$prefix/$libdir"
	ldconfig_run
	[ -n "$dest" ] || advise
}

uninstall_files()
{
	[ -f "$dest$list" ] ||
		fail "make install put nothing below $dest$prefix: there is no $dest$list; give the PREFIX and DESTDIR of the install"
	owner=$(stat -c %U "$dest$list")
	[ "$(stat -c %u "$dest$list")" = "$(id -u)" ] ||
		fail "$owner installed what is below $dest$prefix: uninstall it as $owner"
	cp "$dest$list" "$work/list"
	gone=0
	while read -r kind mark path; do
		at=$dest$path
		case $kind in
		file) if [ -f "$at" ] && [ ! -L "$at" ]; then now=$(sum_of "$at"); else now=; fi ;;
		link) now=$(readlink "$at" || true) ;;
		*) continue ;;
		esac
		if [ "$now" = "$mark" ]; then
			rm "$at"
			gone=$((gone + 1))
		elif [ -e "$at" ] || [ -L "$at" ]; then
			echo "$what: left $at: it was changed since"
		fi
	done <"$work/list"
	rm "$dest$list"
	# The deepest first; one that others use now stays.
	sed -n 's/^folder - //p' "$work/list" | LC_ALL=C sort -r | while IFS= read -r path; do
		rmdir "$dest$path" 2>/dev/null || true
	done
	echo "$what: removed $gone files below $dest$prefix"
	ldconfig_run
}

case $what in
install) install_files ;;
uninstall) uninstall_files ;;
*) fail "usage: install.sh install|uninstall" ;;
esac
