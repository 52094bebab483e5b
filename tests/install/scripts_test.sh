#!/bin/sh
# SPDX-License-Identifier: MIT
# The scripts remove nothing that they have not made, also when a signal ends
# them; apt-private.sh takes nothing that Debian did not sign and says why it
# fails; the sandbox test runs where only root may enter the tree. Stand-ins for
# apt and for compilers send the signals and play the mirrors.
#
#   scripts_test.sh [BUILD_DIR]
#
# Without BUILD_DIR the sandbox test is left out.
set -u

build=${1:-}
[ -z "$build" ] || build=$(cd "$build" && pwd) || exit 2
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/install/check.sh"
# Nobody answers a question here.
exec </dev/null
unset DESTDIR GPUMEM_CACHE GPUMEM_OUT

# says NAME TEXT COMMAND...: it fails, and says TEXT
says()
{
	name=$1
	text=$2
	shift 2
	run "$@"
	case $status:$out in
	0:*) report "$name: it should fail" 1 ;;
	*"$text"*) report "$name" 0 ;;
	*) report "$name: \"$text\"" 1 ;;
	esac
}

# An apt with two mirrors. FAKE says what is wrong with the first of them, and
# FAKE_GET with downloads.
mkdir "$work/bin"
cat >"$work/bin/apt-get" <<'END'
#!/bin/sh
. /etc/os-release
case $* in
*indextargets* | *--print-uris*)
	for mirror in first second; do
		case $* in
		*--print-uris*) echo "'http://$mirror/debian/dists/$VERSION_CODENAME/InRelease' x 0" ;;
		*) echo "http://$mirror/debian $VERSION_CODENAME" ;;
		esac
	done
	exit
	;;
esac
[ "$1" = -c ] || exit 3
lists=$(sed -n 's/^Dir::State::Lists "\(.*\)";/\1/p' "$2")
sources=$(sed -n 's/^Dir::Etc::sourcelist "\(.*\)";/\1/p' "$2")
case "$* " in
*' update '*)
	case ${FAKE:-}:$(cat "$sources") in
	signal:*)
		trap '' INT TERM
		kill -s "$SIGNAL" 0
		exit 100
		;;
	offline:* | first-offline:*//first/*)
		echo "W: Failed to fetch http://first/InRelease  Could not resolve 'first'"
		echo "E: Some index files failed to download."
		exit 100
		;;
	no-component:*) exit 0 ;;
	esac
	: >"$lists/x_Packages"
	;;
*' download '*)
	case ${FAKE_GET:-} in
	nothing) exit 0 ;;
	fails)
		echo 'E: Unable to locate package hello'
		exit 100
		;;
	broken) echo nonsense >hello_1_all.deb ;;
	*) cp "$DEB" . ;;
	esac
	;;
esac
END
cat >"$work/bin/apt-cache" <<'END'
#!/bin/sh
echo 'E: No packages found' >&2
exit 100
END
chmod +x "$work/bin/apt-get" "$work/bin/apt-cache"

# private ARGUMENT...: apt-private.sh with that apt
private()
{
	PATH=$work/bin:$PATH sh "$root/scripts/apt-private.sh" "$@"
}

# package_make: the package hello, with one file
package_make()
{
	mkdir -p "$work/hello/DEBIAN" "$work/hello/usr"
	printf '%s\n' 'Package: hello' 'Version: 1' 'Architecture: all' \
		'Maintainer: nobody <nobody@example.org>' 'Description: x' \
		>"$work/hello/DEBIAN/control"
	echo hello >"$work/hello/usr/hello"
	dpkg-deb --build "$work/hello" "$work/hello_1_all.deb" >/dev/null
}

test_private()
{
	package_make
	DEB=$work/hello_1_all.deb
	export DEB
	cd "$work" || exit 1
	says 'apt: unpacking before an update' 'has no package lists' \
		private rel stable main unpack new hello
	run private rel stable main update
	run private rel stable main unpack rel/new hello
	[ "$status" -eq 0 ] && [ -f "$work/rel/new/usr/hello" ]
	report 'apt: a relative folder' $?
	says 'apt: lists of another suite' 'has no package lists of other main' \
		private rel other main unpack new hello
	says 'apt: no folder' usage private '' stable main update
	says 'apt: no packages' usage private rel stable main unpack new
	FAKE=offline
	export FAKE
	says 'apt: no network' \
		"cannot reach the mirror http://first/debian (Could not resolve 'first')" \
		private rel stable main update
	FAKE=no-component
	says 'apt: no such component' 'has no component main' \
		private other stable main update
	FAKE=first-offline
	run private two stable main update
	[ "$status" -eq 0 ] && grep -q ' http://second/debian ' "$work/two/sources.list"
	report 'apt: the second mirror' $?
	unset FAKE
	FAKE_GET=nothing
	export FAKE_GET
	says 'apt: nothing downloaded' 'downloaded nothing for hello' \
		private rel stable main unpack new hello
	FAKE_GET=fails
	says 'apt: no such package' 'Unable to locate package hello' \
		private rel stable main unpack new hello
	FAKE_GET=broken
	says 'apt: a broken package' 'cannot unpack hello_1_all.deb' \
		private rel stable main unpack new hello
	unset FAKE_GET
	says 'apt: no such package to look into' 'No packages found' \
		private rel stable main depends hello
	run find "$work/rel" -name 'work.*' -o -name 'debs.*'
	[ -z "$out" ]
	report 'apt: no temporary folder stays' $?
	cd / || exit 1
}

# A mirror in a folder that nobody signed, on a machine that allows it.
unsigned_make()
{
	mirror=$work/mirror
	part=main/binary-$(dpkg --print-architecture)
	packages=$mirror/dists/$codename/$part/Packages
	mkdir -p "${packages%/*}" "$work/host/parts" \
		"$work/host/lists/partial" "$work/host/archives/partial"
	cp "$work/hello_1_all.deb" "$mirror/"
	{
		cat "$work/hello/DEBIAN/control"
		echo 'Filename: hello_1_all.deb'
		echo "Size: $(stat -c %s "$mirror/hello_1_all.deb")"
		echo "SHA256: $(sha256sum <"$mirror/hello_1_all.deb" | cut -c1-64)"
	} >"$packages"
	{
		echo "Origin: Debian"
		echo "Codename: $codename"
		echo "Components: main"
		echo "Date: $(LC_ALL=C date -uR)"
		echo "SHA256:"
		echo " $(sha256sum <"$packages" | cut -c1-64)" \
			"$(stat -c %s "$packages") $part/Packages"
	} >"$mirror/dists/$codename/Release"
	echo "deb [trusted=yes] file:$mirror $codename main" >"$work/host/sources.list"
	: >"$work/host/status"
	cat >"$work/host/apt.conf" <<END
Dir::Etc::Parts "$work/host/parts";
Dir::Etc::Main "$work/host/none";
Dir::Etc::sourcelist "$work/host/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::Lists "$work/host/lists";
Dir::State::status "$work/host/status";
Dir::Cache::archives "$work/host/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "true";
Acquire::AllowInsecureRepositories "true";
Acquire::AllowDowngradeToInsecureRepositories "true";
Acquire::AllowWeakRepositories "true";
END
}

test_unsigned()
{
	unsigned_make
	APT_CONFIG=$work/host/apt.conf
	export APT_CONFIG
	run apt-get -qq update
	[ "$status" -eq 0 ] && (cd "$work/host" && apt-get -qq download hello >/dev/null 2>&1)
	report 'unsigned: this machine takes it' $?
	says 'unsigned: not by an update' "no $codename that is signed" \
		sh "$root/scripts/apt-private.sh" "$work/unsigned" stable main update
	run sh "$root/scripts/apt-private.sh" "$work/unsigned" stable main \
		unpack "$work/unsigned/new" hello
	[ "$status" -ne 0 ] && [ ! -e "$work/unsigned/new/usr/hello" ]
	report 'unsigned: nothing is unpacked' $?
	# Package lists that came while it was allowed.
	cp "$work/host/sources.list" "$work/unsigned/sources.list"
	run apt-get -o Dir::State::Lists="$work/unsigned/lists" -qq update
	sed -i "s,trusted=yes,signed-by=/usr/share/keyrings/debian-archive-keyring.gpg," \
		"$work/unsigned/sources.list"
	says 'unsigned: nor by lists of an earlier update' 'signed by Debian' \
		sh "$root/scripts/apt-private.sh" "$work/unsigned" stable main \
		unpack "$work/unsigned/new" hello
	[ ! -e "$work/unsigned/new/usr/hello" ]
	report 'unsigned: nothing is unpacked of that' $?
	unset APT_CONFIG
}

test_install_module()
{
	version=$(sed -n 's/^#define GPUMEM_RELEASE "\(.*\)"/\1/p' \
		"$root/kernel/gpumem/gpumem_drv.h")
	mkdir -p "$work/dest/usr/src/gpumem-$version"
	mine=$work/dest/usr/src/gpumem-$version/mine
	echo kept >"$mine"
	for verb in install uninstall; do
		says "$verb: the source of another" 'has not made it' \
			env DESTDIR="$work/dest" sh "$root/scripts/install-module.sh" $verb
		[ "$(cat "$mine")" = kept ]
		report "$verb: which stays" $?
	done
	mkdir "$work/here"
	cd "$work/here" || exit 1
	run env DESTDIR=new sh "$root/scripts/install-module.sh"
	[ "$status" -eq 0 ] && [ -f "new/usr/src/gpumem-$version/dkms.conf" ]
	report 'a relative DESTDIR' $?
	run env DESTDIR=new sh "$root/scripts/install-module.sh"
	[ "$status" -eq 0 ]
	report 'once more' $?
	run env DESTDIR=new sh "$root/scripts/install-module.sh" uninstall
	[ "$status" -eq 0 ] && [ ! -e "new/usr/src/gpumem-$version" ]
	report 'what it installed goes' $?
	for dest in 'a b' "$work/whole a b"; do
		run make -C "$root" PWD="$PWD" install-module DESTDIR="$dest"
		[ "$status" -eq 0 ] && [ -f "$dest/usr/src/gpumem-$version/dkms.conf" ]
		report "make install-module with DESTDIR=$dest" $?
	done
	cd / || exit 1
}

# interrupted NAME SCRIPT ARGUMENT...: by SIGINT and SIGTERM of its whole process
# group, as a terminal sends the former; what it has begun in TMPDIR goes.
interrupted()
{
	name=$1
	shift
	for SIGNAL in INT TERM; do
		rm -rf "$work/tmp" "$work/cache"
		mkdir "$work/tmp" "$work/cache"
		export SIGNAL
		run env TMPDIR="$work/tmp" GPUMEM_CACHE="$work/cache" FAKE=signal \
			PATH="$work/signals:$work/bin:$PATH" \
			setsid -w env --default-signal=INT,TERM "$@"
		want=130
		[ $SIGNAL = INT ] || want=143
		left=$(find "$work/tmp" -mindepth 1
			find "$work/cache" \( -name '*.??????' -o -name '*.tmp' -o -type f \) \
				! -name status ! -name apt.conf ! -name lock-debug)
		[ "$status" -eq $want ] && [ -z "$left" ] &&
			case $out in *'not ok'*) false ;; esac
		report "$name: SIG$SIGNAL${left:+ left $left}" $?
	done
}

# Each in a copy of the tree's scripts, which they find their helpers in.
test_signals()
{
	tree=$work/tree
	mkdir -p "$work/signals" "$tree/tests/vm" "$tree/lib" "$tree/build/vm"
	cp -r "$root/scripts" "$tree/"
	mkdir -p "$tree/abi" "$tree/lib/copy/sm"
	cp "$root/abi/sm_copy.h" "$tree/abi/"
	cp "$root/tests/vm/kernel-build.sh" "$root/tests/vm/debug.config" "$tree/tests/vm/"
	cp "$root/lib/copy/sm/kernel.cu" "$root/lib/copy/sm/kernel.ptx" "$tree/lib/copy/sm/"
	cat >"$work/signals/signal" <<'END'
#!/bin/sh
case $* in
*--version*)
	echo 'clang version 14.0'
	exit
	;;
esac
trap '' INT TERM
kill -s "$SIGNAL" 0
END
	chmod +x "$work/signals/signal"
	ln -s signal "$work/signals/objdump"
	ln -s signal "$work/signals/clang-14"
	: >"$work/nvidia.ko"
	interrupted module-symvers sh "$tree/scripts/module-symvers.sh" "$work/nvidia.ko"
	interrupted sm-kernel-ptx sh "$tree/scripts/sm-kernel-ptx.sh" --check
	interrupted apt-private sh "$tree/scripts/apt-private.sh" "$work/cache/a" stable main update
	interrupted checkpatch-fetch sh "$tree/scripts/checkpatch-fetch.sh"
	interrupted check-nvidia bash "$tree/scripts/check-nvidia.sh" bookworm/6.1
	for name in setup build; do
		printf '#!/bin/sh\n' >"$tree/scripts/$name.sh"
	done
	interrupted kernel-build sh "$tree/tests/vm/kernel-build.sh" debug
	# A machine, in a session of its own, that ends the whole group of the
	# script above the shell that started it.
	cat >"$tree/tests/vm/vm.py" <<'END'
#!/bin/sh
echo $$ >"$MACHINE"
kill -s "$SIGNAL" -- "-$(awk '{print $5}' "/proc/$PPID/stat")"
exec sleep 1000
END
	chmod +x "$tree/tests/vm/vm.py"
	MACHINE=$work/machine
	export MACHINE
	interrupted fuzz-kernel sh "$tree/scripts/fuzz-kernel.sh" "$tree/build"
	while kill -0 "$(cat "$MACHINE")" 2>/dev/null; do
		sleep 0.1
	done
	echo "ok - fuzz-kernel: the machine has ended"
}

# Where root alone may enter: the tree's copy, and TMPDIR too.
test_sandbox()
{
	closed=$work/closed
	mkdir -p "$closed/tests/gpu" "$closed/tmp"
	cp "$root/tests/gpu/common.sh" "$root/tests/gpu/sandbox.sh" "$build/tests/gpu/sandbox" \
		"$closed/tests/gpu/"
	cp -r "$build/lib" "$build/sim" "$closed/"
	chmod 700 "$closed"
	for place in "${TMPDIR:-/tmp}" "$closed/tmp"; do
		run env -u LD_LIBRARY_PATH TMPDIR="$place" "$closed/tests/gpu/sandbox.sh" \
			"$closed/tests/gpu/sandbox" --backend sim
		[ "$status" -eq 0 ] &&
			[ "$(echo "$out" | grep -c '^ok - .*uid 65534$')" -eq 2 ]
		report "sandbox: as an ordinary user, TMPDIR in ${place#"$work/"}" $?
	done
	[ -z "$(ls -A "$closed/tmp")" ]
	report 'sandbox: nothing stays in TMPDIR' $?
}

# make distclean removes what the scripts downloaded, make clean what was built.
test_clean()
{
	cache=$work/cache
	mkdir -p "$cache/kernels/apt-bookworm" "$cache/kernels/mine" "$cache/fresh/trixie/root" \
		"$cache/kernels/bookworm-mine" "$cache/kernels/bookworm-6.1" "$cache/nvidia/trixie-notes"
	touch "$cache/kernels/apt-bookworm/apt.conf" "$cache/kernels/apt-bookworm/sources.list" \
		"$cache/fresh/trixie/log" "$cache/kernels/bookworm-6.1/release"
	run env GPUMEM_CACHE="$cache" sh "$root/scripts/distclean.sh"
	[ "$status" -eq 0 ] && [ -d "$cache/kernels/apt-bookworm" ]
	report 'distclean: nothing goes unasked' $?
	run env GPUMEM_CACHE="$cache" sh "$root/scripts/distclean.sh" yes
	[ "$status" -eq 0 ] && [ "$(cd "$cache" && find . -mindepth 1 | sort | paste -s -d ' ')" = \
		'./kernels ./kernels/bookworm-mine ./kernels/mine ./nvidia ./nvidia/trixie-notes' ]
	report 'distclean: downloads go, and nothing else' $?

	tree=$work/tree
	mkdir -p "$tree/other/meson-private" "$tree/other/meson-info" "$tree/own/meson-private"
	cp "$root/Makefile" "$tree/"
	echo '{"descriptive_name": "other"}' >"$tree/other/meson-info/intro-projectinfo.json"
	run make -C "$tree" clean BUILD=other
	[ "$status" -ne 0 ] && [ -d "$tree/other" ]
	report "clean: another project's build folder stays" $?
	run make -C "$tree" clean BUILD=own
	[ "$status" -eq 0 ] && [ ! -e "$tree/own" ]
	report 'clean: a build folder goes' $?
	mkdir -p "$tree/build/module/kernel"
	: >"$tree/build/module/made-by-module.sh"
	run make -C "$tree" clean
	[ "$status" -eq 0 ] && [ ! -e "$tree/build" ]
	report "clean: so does make module's" $?
}

# Paths that Kbuild and make cannot handle are known before anything is fetched.
test_paths()
{
	for path in '/a b' '/a:b' "/it's" '/a#b' '/a$b' '/a&b' '/a(b' '/a,b' '/a%b' '/a"b' '/a[b' '/a\b'; do
		run sh -c 'cd "$1" && . scripts/common.sh && is_odd "$2"' sh "$root" "$path"
		[ "$status" -eq 0 ] || break
	done
	report "paths: $path is refused" $?
	run sh -c 'cd "$1" && . scripts/common.sh && is_odd "$2"' sh "$root" '/home/é/a-b_c.d+e~f@g=h'
	[ "$status" -ne 0 ]
	report 'paths: others are not' $?
	run env -u HOME GPUMEM_CACHE=near sh -c 'cd "$1" && . scripts/common.sh && cache_dir' sh "$root"
	[ "$out" = "$root/near" ]
	report 'paths: a relative GPUMEM_CACHE is made a whole one' $?
}

# vm.py counts a VM that could not be run at all, whatever stopped it.
test_vm()
{
	run python3 -B -c '
import sys
sys.path.insert(0, sys.argv.pop())
import image, vm

def broken(run):
	raise OSError("no disk")

image.kernel_fetch = lambda name: "/"
vm.Run._run = broken
sys.exit(vm.main())' --kernel 6.1 "$root/tests/vm"
	[ "$status" -eq 3 ] && echo "$out" | grep -q '^not ok vm/6.1: .*no disk' &&
		echo "$out" | grep -q '^0 passed, 1 failed, 0 skipped$'
	report 'vm.py: no VM is a failure' $?
}

test_install_module
test_clean
test_paths
test_vm
codename=
if [ -r /etc/os-release ] && command -v apt-get dpkg-deb >/dev/null; then
	# shellcheck source=/dev/null
	[ "$(. /etc/os-release && echo "$ID")" != debian ] ||
		codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
fi
if [ -n "$codename" ]; then
	test_signals
	test_private
	test_unsigned
else
	echo 'skip - apt and signals: this is no Debian'
fi
if [ -z "$build" ]; then
	echo 'skip - sandbox: no build was named'
elif [ "$(id -u)" -eq 0 ] && setpriv --reuid=65534 --regid=65534 --clear-groups true; then
	test_sandbox
else
	echo 'skip - sandbox: only root can be another user'
fi

[ "$failed" -eq 0 ]
