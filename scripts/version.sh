#!/bin/sh
# SPDX-License-Identifier: MIT
# The version is the one of meson.build; what cannot be made from it repeats it.
#
#   scripts/version.sh            print it
#   scripts/version.sh check      compare every place that repeats it; name those
#                                 that differ
#   scripts/version.sh set X.Y.Z  write it everywhere but in CHANGELOG.md
# Environment: VERSION_ROOT, the tree, if it is not this script's.
set -eu

cd "${VERSION_ROOT:-$(dirname "$0")/..}"
version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)
[ -n "$version" ] || {
	echo "version: meson.build has no line \"  version: '...',\"" >&2
	exit 1
}

# places VERSION: the file, a pattern that finds the line, and the whole line.
places()
{
	IFS=. read -r major minor patch <<-END
		$1
	END
	cat <<-END
		meson.build|  version: '.*',|  version: '$1',
		include/gpumem.h|#define GPUMEM_VERSION_MAJOR .*|#define GPUMEM_VERSION_MAJOR $major
		include/gpumem.h|#define GPUMEM_VERSION_MINOR .*|#define GPUMEM_VERSION_MINOR $minor
		include/gpumem.h|#define GPUMEM_VERSION_PATCH .*|#define GPUMEM_VERSION_PATCH $patch
		kernel/gpumem/gpumem_drv.h|#define GPUMEM_RELEASE .*|#define GPUMEM_RELEASE "$1"
		man/gpumem.1|\.Os.*|.Os gpumem $1
		man/gpumem.4|\.Os.*|.Os gpumem $1
	END
}

check()
{
	bad=0
	while IFS='|' read -r file pattern line; do
		grep -qxF -- "$line" "$file" && continue
		echo "$file: \"$(grep -x -- "$pattern" "$file")\", not \"$line\""
		bad=1
	done <<-END
		$(places "$version")
	END
	# The newest section, before or after the release.
	section=$(grep -m 1 '^## ' CHANGELOG.md)
	case "$section " in
	"## Unreleased: $version " | "## $version, "*) ;;
	*)
		echo "CHANGELOG.md: its first section is \"$section\", not \"## Unreleased: $version\" or \"## $version, DATE\""
		bad=1
		;;
	esac
	return $bad
}

case ${1:-} in
'') echo "$version" ;;
check)
	check || {
		echo "version: meson.build has $version; scripts/version.sh set $version writes it everywhere"
		exit 1
	}
	echo "$version everywhere"
	;;
set)
	echo "${2:-}" | grep -qxE '[0-9]+\.[0-9]+\.[0-9]+' || {
		echo "version: \"${2:-}\" is no version such as 0.2.0" >&2
		exit 2
	}
	places "$2" | while IFS='|' read -r file pattern line; do
		sed -i "s/^$pattern\$/$line/" "$file"
	done
	;;
*)
	echo "usage: scripts/version.sh [check | set X.Y.Z]" >&2
	exit 2
	;;
esac
