#!/bin/bash
# SPDX-License-Identifier: MIT
# Licences, format, kernel style, sparse, static analysis, both compilers with -Werror,
# headers alone as C11 and C++, the unit tests for arm64. Prints a line a check;
# fails if one does.
# usage: check.sh [format-write]
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
# Format, the copy kernel's PTX and what is warned of depend on the tools' versions.
. /etc/os-release
[ "${VERSION_CODENAME:-}" = bookworm ] || {
	echo "make check: its tools are those of Debian 12 (clang 14), and ${PRETTY_NAME:-this system} has others; run it there. make test and make test-fresh run here" >&2
	exit 2
}
# Tracepoints are laid out as the kernel lays them out, which neither clang-format
# nor checkpatch understands.
sources() { git ls-files '*.c' '*.h' | grep -v -e '^tests/data/' -e '^kernel/gpumem/trace\.h$'; }
if [ "${1:-}" = format-write ]; then
	sources | xargs clang-format -i
	exit
fi

scripts/setup.sh build test vm check arm64 || exit 1
passed=0 failed=0 skipped=0
mkdir -p build-check
check()
{
	local name=$1 log=build-check/$1.log start=$SECONDS
	shift
	[ ! -t 2 ] || printf '\r\033[K  %s' "$name" >&2
	"$@" >"$log" 2>&1
	local rc=$?
	[ ! -t 2 ] || printf '\r\033[K' >&2
	if [ $rc = 0 ]; then
		echo "ok     check/$name ($((SECONDS - start)) s)"
		passed=$((passed + 1))
	elif [ $rc = 77 ]; then
		echo "skip   check/$name: $(tail -n 1 "$log")"
		skipped=$((skipped + 1))
	else
		echo "not ok check/$name ($((SECONDS - start)) s)"
		tail -40 "$log" | sed 's/^/       /'
		echo "       all of it: $log"
		failed=$((failed + 1))
	fi
}

# Layout is clang-format's; the rest of the ignored types are about code that
# is not out of the kernel's tree.
checkpatch()
{
	local pl
	pl=$(scripts/checkpatch-fetch.sh) || return 1
	# shellcheck disable=SC2046
	perl "$pl" --no-tree --strict --terse --no-summary \
		--ignore LINUX_VERSION_CODE,CONSTANT_COMPARISON,PREFER_KERNEL_TYPES,BIT_MACRO,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT \
		-f $(git ls-files 'kernel/*.[ch]' 'uapi/*.h' 'tests/emu/*.[ch]' tests/driver/fakegpu.c tests/driver/rm_shim.h |
			grep -v -e selftest -e gpumem/trace.h)
}

# module KERNEL C: the modules, on a kernel, with the compiler's and, where C is 1,
# sparse's warnings; gpumem.ko with and without what is for GPL modules only, and
# then it may use no GPL-only symbol.
module()
{
	local kernel kdir out gpl dir
	kernel=$(tests/vm/kernel-fetch.sh "$1") || return 1
	kdir=$kernel/build
	out=$(pwd)/build-check/module-$1
	rm -rf "$out"
	mkdir -p "$out/tests" "$out/n"
	cp -r kernel uapi "$out/"
	cp -r kernel uapi "$out/n/"
	cp -r tests/emu tests/driver "$out/tests/"
	: >"$out/log"
	for dir in emu driver; do
		make -C "$kdir" M="$out/tests/$dir" W=1 C="$2" modules >>"$out/log" 2>&1 ||
			{ cat "$out/log"; return 1; }
	done
	for gpl in y n; do
		make -C "$kdir" M="$out/${gpl#y}/kernel/gpumem" GPUMEM_GPL=$gpl \
			NV_P2P_DIR="$out/tests/emu" W=1 C="$2" \
			KBUILD_EXTRA_SYMBOLS="$out/tests/emu/Module.symvers" modules \
			>>"$out/log" 2>&1 || { cat "$out/log"; return 1; }
	done
	if grep -E ': warning:|WARNING:|error:' "$out/log"; then
		return 1
	fi
	scripts/module-gpl.sh "$out/n/kernel/gpumem/gpumem.ko" "$kdir"
}

compiler()
{
	rm -rf "build-check/$1"
	CC=$1 meson setup "build-check/$1" --werror -Dbuildtype=debugoptimized >/dev/null &&
		meson compile -C "build-check/$1"
}

cppcheck_run()
{
	local queue
	# It does not look into system headers for macros by itself.
	queue=$(echo '#include <sys/queue.h>' | gcc -E -M - | grep -o '/[^ ]*queue\.h')
	# shellcheck disable=SC2046
	cppcheck --quiet --include="$queue" --error-exitcode=1 --inline-suppr --std=c11 --language=c -D__x86_64__ \
		--enable=warning,performance,portability \
		--suppress=missingIncludeSystem --suppress=unusedStructMember \
		-I. -Iinclude -Iuapi -Ilib -Isim -Itools $(git ls-files 'lib/*.c' 'sim/*.c' 'tools/*.c' 'compat/*.c')
}

# Without valist.Uninitialized: clang 14's overlooks va_start().
clang_tidy_run()
{
	git ls-files 'lib/*.c' 'sim/*.c' 'tools/*.c' 'compat/*.c' | xargs -n 1 -P "$(nproc)" \
		clang-tidy --quiet --warnings-as-errors='*' -p build-check/clang \
		--checks='-*,clang-analyzer-*,-clang-analyzer-valist.Uninitialized,-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-assignment-in-if-condition,-bugprone-reserved-identifier,-bugprone-narrowing-conversions,-bugprone-implicit-widening-of-multiplication-result' 2>&1 |
		sed '/warnings\? generated\.$/d'
}

format() { sources | xargs clang-format --dry-run --Werror; }

spdx()
{
	local f bad=0
	for f in .ci/run $(git ls-files '*.c' '*.h' '*.sh' '*.py' '*.build' '*.cu' '*.ptx' 'Makefile' '*Kbuild'); do
		head -3 "$f" | grep -q SPDX-License-Identifier || { echo "$f"; bad=1; }
	done
	return $bad
}

# The REUSE specification: every file has a copyright line and a known licence.
reuse_lint()
{
	local bin
	bin=$(scripts/check-tools.sh) || return
	"$bin/reuse" lint
}

# By the schema of the service that reads them.
workflow()
{
	local bin
	bin=$(scripts/check-tools.sh) || return
	"$bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml
}

shell()
{
	local bad=0
	git ls-files '*.sh' .ci/run tests/vm/init | grep -v '^tests/[a-z]*/cases/' |
		xargs shellcheck -x -e SC2016 || bad=1
	# The cases have no #!: init gives them to sh.
	git ls-files 'tests/*/cases/*.sh' | xargs shellcheck -S warning -s sh || bad=1
	return $bad
}

headers()
{
	local h
	for h in include/gpumem.h compat/gdrapi/gdrapi.h uapi/linux/gpumem.h uapi/gpumemioctl.h; do
		gcc -std=c11 -Wall -Wextra -Werror -pedantic -Iuapi -fsyntax-only -x c "$h" &&
			g++ -std=c++11 -Wall -Wextra -Werror -Iuapi -fsyntax-only -x c++ "$h" || return 1
	done
}

# The README's program is the example that the tests build and run.
readme()
{
	sed -n '/^```c$/,/^```$/p' README.md | sed '1d;$d' | diff - examples/quickstart.c
}

check spdx spdx
check reuse reuse_lint
check readme readme
check format format
check shell shell
check workflow workflow
check headers headers
check courier scripts/sm-kernel-ptx.sh --check
check checkpatch checkpatch
check module-6.1 module 6.1 1
check module-6.12 module 6.12 1
# Too new for this machine's sparse.
check module-newest module newest 0
check gcc compiler gcc
check clang compiler clang
check arm64 scripts/test-arm64.sh
check cppcheck cppcheck_run
check clang-tidy clang_tidy_run
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
