# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Shell functions of the scripts that use clang's sanitizers, behind common.sh:
#	. scripts/sanitize.sh

# A report ends the program, and says where.
export ASAN_OPTIONS="strict_string_checks=1:check_initialization_order=1:strict_init_order=1"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1"
export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1"

sanitize_setup()
{
	[ ! -f "build-sanitize/$1/build.ninja" ] || return 0
	case $1 in
	address) set -- "$1" address,undefined enabled ;;
	*) set -- "$1" "$1" disabled ;;
	esac
	# The runtime is in the programs alone: libraries have undefined symbols.
	CC=clang meson setup "build-sanitize/$1" -Dbuildtype=debugoptimized \
		-Db_sanitize="$2" -Dfuzz="$3" -Db_lundef=false -Dtests=enabled -Djson=enabled
}

# sanitize_prepare KIND: a build folder, build-sanitize/KIND, for address, which has
# UBSan and the targets of libFuzzer too, or thread. Ends the script if it cannot.
sanitize_prepare()
{
	mkdir -p build-sanitize
	step "sanitize: setting up build-sanitize/$1/" sanitize_setup "$1" || {
		step_show 60
		exit 1
	}
}

# sanitize_build KIND TARGET...: builds these there.
sanitize_build()
{
	sanitize_prepare "$1"
	sanitize_kind=$1
	shift
	step "sanitize: building in build-sanitize/$sanitize_kind/" \
		ninja -C "build-sanitize/$sanitize_kind" "$@" || {
		step_show 60
		exit 1
	}
}
