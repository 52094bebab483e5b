#!/bin/sh
# SPDX-License-Identifier: MIT
# Downloads Debian packages without touching the machine's own package lists:
# reads the mirror from the machine's configuration, adds the suites and
# components named on the command line, and keeps everything in a folder of
# its own.
#
# usage: apt-private.sh FOLDER SUITE COMPONENT update
#        apt-private.sh FOLDER SUITE COMPONENT depends PACKAGE
#        apt-private.sh FOLDER SUITE COMPONENT unpack TARGET PACKAGE...
set -eu

[ $# -ge 4 ] || { sed -n '3,12p' "$0" >&2; exit 2; }
dir=$1 suite=$2 component=$3 verb=$4
shift 4

# The release this machine runs, and the mirror it gets it from.
. /etc/os-release
case $suite in
backports) suite=$VERSION_CODENAME-backports ;;
stable) suite=$VERSION_CODENAME ;;
esac
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Identifier: Packages' |
	 awk -v c="$VERSION_CODENAME" '$2 == c {print $1; exit}')
[ -n "$mirror" ] || {
	echo "apt-private: found no mirror for $VERSION_CODENAME in this machine's apt sources" >&2
	exit 1
}

mkdir -p "$dir/lists/partial" "$dir/archives/partial"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $mirror $suite $component" >"$dir/sources.list"
apt_opts="-oDir::Etc::sourcelist=$dir/sources.list -oDir::Etc::sourceparts=/dev/null
	  -oDir::State::Lists=$dir/lists -oDir::Cache::archives=$dir/archives
	  -oDir::Cache::pkgcache= -oDir::Cache::srcpkgcache= -oAPT::Sandbox::User=root"

case $verb in
update)
	apt-get $apt_opts -qq update
	;;
depends)
	apt-cache $apt_opts depends --no-recommends --no-suggests --no-conflicts \
		--no-breaks --no-replaces --no-enhances "$1" |
		awk '/Depends:/ {print $NF}'
	;;
unpack)
	target=$1
	shift
	mkdir -p "$target"
	target=$(cd "$target" && pwd)
	debs=$dir/debs.$$
	mkdir -p "$debs"
	(cd "$debs" && apt-get $apt_opts -qq download "$@")
	for deb in "$debs"/*.deb; do
		dpkg-deb -x "$deb" "$target"
	done
	rm -rf "$debs"
	;;
*)
	echo "apt-private: unknown verb $verb" >&2
	exit 2
	;;
esac
