# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the scripts of tests/gpu and bench share; to be sourced. Needs no network.

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s: %s\n' "$0" "$*" >&2
	exit 1
}

# The folder of libcuda.so.1, where the loader does not find it by itself.
find_libcuda()
{
	ldconfig=$(command -v ldconfig || echo /sbin/ldconfig)
	for dir in \
		$("$ldconfig" -p 2>/dev/null |
			sed -n 's|.*libcuda\.so\.1 .*=> \(.*\)/libcuda.so.1|\1|p') \
		/usr/local/nvidia/lib64 /usr/local/nvidia/lib \
		/usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu \
		/usr/lib64 /usr/lib/wsl/lib \
		/run/opengl-driver/lib /usr/local/cuda/compat; do
		if [ -e "$dir/libcuda.so.1" ]; then
			say "$dir"
			return 0
		fi
	done
	return 1
}

# Lets the loader find libcuda; without one the library says so itself.
use_libcuda()
{
	if cuda_dir=$(find_libcuda); then
		say "# libcuda.so.1 in $cuda_dir"
		LD_LIBRARY_PATH=$cuda_dir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
		export LD_LIBRARY_PATH
	else
		say "# libcuda.so.1 not found in the usual places"
	fi
}

have_gpu()
{
	[ -e /dev/nvidiactl ] || [ -e /dev/dxg ]
}

# meson and ninja, as commands or as Python modules.
find_meson()
{
	if command -v meson >/dev/null 2>&1; then
		MESON=meson
	elif python3 -c 'import mesonbuild' 2>/dev/null; then
		MESON='python3 -m mesonbuild.mesonmain'
	else
		die "meson is missing; install it (pip install meson)"
	fi
	if [ -z "${NINJA:-}" ] && ! command -v ninja >/dev/null 2>&1; then
		NINJA=$(python3 -c 'import ninja, os
print(os.path.join(ninja.BIN_DIR, "ninja"))' 2>/dev/null) ||
			die "ninja is missing; install it (pip install ninja)"
		export NINJA
	fi
}

# What is built, and no more: other parts may need packages that are not here.
targets='tools/gpumem:executable tests/gpu/test_gpu:executable
	tests/gpu/test_storm:executable tests/gpu/test_two:executable
	tests/gpu/pointer_kinds:executable tests/gpu/test_cpu:executable
	tests/gpu/cpu_speed:executable tests/gpu/test_copies:executable
	tests/gpu/test_litmus:executable tests/gpu/sandbox:executable
	tests/gpu/courier_probe:executable sim/cuda:shared_library'

# Builds the library, the command and the tests of $root into $build, with a C
# compiler, Python, meson and ninja. GPUMEM_DEPS may name a folder with usr/include
# and usr/lib of packages that are not installed (json-c, for --json).
build_all()
{
	: "${root:?}" "${build:?}"
	find_meson
	if [ -n "${GPUMEM_DEPS:-}" ]; then
		deps=$(cd "$GPUMEM_DEPS" && pwd) ||
			die "GPUMEM_DEPS: $GPUMEM_DEPS is no folder"
		libs=$(find "$deps" -name 'libjson-c.*' -exec dirname {} \; |
			sort -u | tr '\n' ':')
		export CPATH="$deps/usr/include${CPATH:+:$CPATH}"
		export LIBRARY_PATH="$libs${LIBRARY_PATH:-}"
		export LD_LIBRARY_PATH="$libs${LD_LIBRARY_PATH:-}"
	fi
	mkdir -p "$build"
	log=$build/build.log
	if [ -e "$build/build.ninja" ]; then
		set -- --reconfigure
	else
		set --
	fi
	# shellcheck disable=SC2086
	if ! $MESON setup "$@" "$build" "$root" >"$log" 2>&1 ||
		! $MESON compile -C "$build" $targets >>"$log" 2>&1; then
		tail -n 60 "$log" >&2
		die "building failed; the whole log is $log"
	fi
	# shellcheck disable=SC2034 # those who source this file use it
	tool=$(find_built gpumem)
}

# A program of the build, wherever meson put it.
find_built()
{
	found=$(find "$build" -name "$1" -type f -perm -u+x | head -n 1)
	[ -n "$found" ] || die "the build made no $1; see $build/build.log"
	say "$found"
}

# as_ordinary COMMAND...: as an ordinary user, where the caller is root.
as_ordinary()
{
	if command -v setpriv >/dev/null 2>&1; then
		setpriv --reuid=65534 --regid=65534 --clear-groups \
			env HOME=/nonexistent "$@"
	else
		python3 -c 'import os, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.environ["HOME"] = "/nonexistent"
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
	fi
}

can_change_user()
{
	[ "$(id -u)" -eq 0 ] && as_ordinary true 2>/dev/null
}

# make_work NAME: makes the folder $work, which goes when the script ends. It is
# below TMPDIR, or where an ordinary user may enter and run what is there.
make_work()
{
	trap 'rm -rf "${work:-}"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	for dir in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
		work=$(mktemp -d "$dir/$1.XXXXXX") || continue
		chmod 755 "$work"
		can_change_user || return 0
		printf '#!/bin/sh\n' >"$work/try"
		chmod 755 "$work/try"
		if as_ordinary "$work/try" 2>/dev/null; then
			rm "$work/try"
			return 0
		fi
		rm -rf "$work"
	done
	work=
	die "in ${TMPDIR:-/tmp} and /var/tmp no ordinary user can run a program; set TMPDIR to a folder where one can"
}

# Which machine the figures are from.
print_machine()
{
	say "# date    $(date -u +%Y-%m-%dT%H:%M:%SZ)"
	say "# kernel  $(uname -srm)"
	say "# CPU     $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo |
		head -n 1), $(nproc) threads"
	smi=$(command -v nvidia-smi || ls /usr/local/nvidia/bin/nvidia-smi \
		2>/dev/null || true)
	if [ -n "$smi" ]; then
		"$smi" --query-gpu=name,driver_version,memory.total,pci.bus_id \
			--format=csv,noheader 2>&1 | sed 's/^/# GPU     /'
	else
		say "# GPU     nvidia-smi is not here to ask"
	fi
	if [ -r /proc/driver/nvidia/version ]; then
		sed -n 's/^NVRM version: */# driver  /p' \
			/proc/driver/nvidia/version
	fi
}
