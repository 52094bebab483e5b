#!/bin/sh
# SPDX-License-Identifier: MIT
# Downloads Debian packages without touching the machine's own package lists:
# takes the mirrors from the machine's configuration, but the suite and the
# component from the command line, and keeps everything in a folder of its own.
# Only what Debian's own keys signed is used, whatever the machine allows.
#
# usage: apt-private.sh [--arch ARCH] FOLDER SUITE COMPONENT update
#        apt-private.sh [--arch ARCH] FOLDER SUITE COMPONENT depends PACKAGE
#        apt-private.sh [--arch ARCH] FOLDER SUITE COMPONENT unpack TARGET PACKAGE...
#
# SUITE is a suite of Debian (trixie, bookworm-backports), or stable or backports
# for this machine's release; ARCH (arm64) is an architecture other than this
# machine's. update comes first; the others use its result.
set -eu

fail()
{
	echo "apt-private: $*" >&2
	exit 1
}

usage()
{
	sed -n '8,14s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

arch=
if [ "${1:-}" = --arch ]; then
	arch=${2:-}
	[ -n "$arch" ] || usage
	shift 2
fi
[ $# -ge 4 ] || usage
dir=$1 suite=$2 component=$3 verb=$4
shift 4
[ -n "$dir" ] || usage
# Both become a line of apt's sources.
case $suite$component$arch in
*[!A-Za-z0-9._/-]*) usage ;;
esac
case $verb:$# in
update:0 | depends:1) ;;
unpack:0 | unpack:1) usage ;;
unpack:*) ;;
*) usage ;;
esac

# shellcheck source=/dev/null
. /etc/os-release
codename=${VERSION_CODENAME:-}
[ -n "$codename" ] || fail "/etc/os-release names no Debian release (VERSION_CODENAME)"
case $suite in
backports) suite=$codename-backports ;;
stable) suite=$codename ;;
esac

# Debian 13 has both names, later ones may have the second alone.
keyring=
for file in /usr/share/keyrings/debian-archive-keyring.gpg \
	/usr/share/keyrings/debian-archive-keyring.pgp; do
	[ ! -f "$file" ] || keyring=${keyring:-$file}
done
[ -n "$keyring" ] ||
	fail "Debian's keys are missing, without which no package can be verified; install debian-archive-keyring"

mkdir -p "$dir/lists/partial" "$dir/archives/partial" || fail "cannot write to $dir"
dir=$(cd "$dir" && pwd)
sources=$dir/sources.list from=$sources
conf=$dir/apt.conf
work=$(mktemp -d "$dir/work.XXXXXX") || fail "cannot write to $dir"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export LC_ALL=C
[ "$verb" != update ] || from=$work/sources.list

# It is read after the machine's own configuration, of which the proxy and the
# like stay. What is installed here, or pinned, has no say.
: >"$dir/status"
cat >"$conf" <<END
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Default-Release;
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Dir::Etc::sourcelist "$from";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::status "$dir/status";
Dir::State::Lists "$dir/lists";
Dir::Cache::archives "$dir/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
[ -z "$arch" ] || cat >>"$conf" <<END
#clear APT::Architectures;
APT::Architecture "$arch";
APT::Architectures "$arch";
END

# mirrors: where this machine gets its release from, as its sources name it.
mirrors()
{
	apt-get update --print-uris >"$work/uris" 2>"$work/log" ||
		fail "this machine's apt sources cannot be read: $(tail -n 1 "$work/log")"
	sed -n "s,^'\(.*\)/dists/\($codename\|stable\|oldstable\|testing\)/InRelease'.*,\1,p" \
		"$work/uris" | grep -v '^cdrom:' | awk '!seen[$0]++'
}

# reason MIRROR: why apt failed, in a line, from what it printed.
reason()
{
	fetch=$(sed -n 's/^[EW]: Failed to fetch [^ ]*  *//p' "$work/log" | head -n 1)
	case $(cat "$work/log") in
	*'Could not resolve'* | *'Temporary failure resolving'* | *'Could not connect'* | \
		*'Unable to connect'* | *'Cannot initiate the connection'* | \
		*'Connection failed'* | *'Connection timed out'*)
		echo "cannot reach the mirror $1 (${fetch:-no connection}): check the network and the proxy, then try again"
		;;
	*'is not signed'* | *'is no longer signed'* | *'not be authenticated'* | *unauthenticated*)
		echo "the mirror $1 has no $suite that is signed by Debian's keys ($keyring)"
		;;
	*'does not have a Release file'* | *'no longer has a Release file'*)
		echo "the mirror $1 has no suite $suite"
		;;
	*)
		echo "the mirror $1, suite $suite: $(sed -n '/^E:/{p;q}' "$work/log")"
		;;
	esac
}

# need_lists: an update went well, for this suite and component.
need_lists()
{
	mirror=$(sed -n "s,^deb \[.*\] \(.*\) $suite $component\$,\1,p" "$sources" 2>/dev/null || true)
	[ -n "$mirror" ] ||
		fail "$dir has no package lists of $suite $component: run apt-private.sh $dir $suite $component update"
}

case $verb in
update)
	list=$(mirrors)
	[ -n "$list" ] || fail "found no mirror for $codename in this machine's apt sources; add one to /etc/apt/sources.list"
	: >"$work/reasons"
	# Only the signature tells a mirror from another's archive.
	for mirror in $list; do
		echo "deb [signed-by=$keyring target=Packages] $mirror $suite $component" >"$from"
		if ! apt-get -c "$conf" -qq update >"$work/log" 2>&1 </dev/null; then
			reason "$mirror" >>"$work/reasons"
		elif ! find "$dir/lists" -name '*_Packages*' | grep -q .; then
			echo "the mirror $mirror has no component $component in $suite" >>"$work/reasons"
		else
			mv "$from" "$sources"
			exit 0
		fi
	done
	sed 's/^/apt-private: /' "$work/reasons" >&2
	exit 1
	;;
depends)
	need_lists
	apt-cache -c "$conf" depends --no-recommends --no-suggests --no-conflicts \
		--no-breaks --no-replaces --no-enhances "$1" >"$work/depends" 2>"$work/log" ||
		fail "$suite $component of $mirror: $(tail -n 1 "$work/log")"
	awk '/Depends:/ {print $NF}' "$work/depends"
	;;
unpack)
	need_lists
	target=$1
	shift
	mkdir "$work/debs"
	(cd "$work/debs" && apt-get -c "$conf" -qq download "$@") >"$work/log" 2>&1 </dev/null ||
		fail "$(reason "$mirror")"
	mkdir -p "$target" || fail "cannot write to $target"
	for deb in "$work/debs"/*.deb; do
		[ -f "$deb" ] || fail "apt downloaded nothing for $*"
		dpkg-deb -x "$deb" "$target" || fail "cannot unpack ${deb##*/} into $target"
	done
	;;
esac
