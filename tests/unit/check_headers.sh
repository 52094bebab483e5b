#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2086 # compilers and headers are words
# Each installed header compiles alone: the public ones as C11 and as C++, those
# of the kernel's interface as C. gpumem.h and the kernel's compile
# together, in either order.
#
# check_headers.sh SOURCE-ROOT "CC"
set -u

root=$1
cc=$2
strict="-Wall -Wextra -Werror -pedantic -fsyntax-only"
failed=0

# alone HEADER COMPILER... : compiles a file that includes the header twice
alone()
{
	header=$1
	shift
	if printf '#include <%s>\n#include <%s>\n' "$header" "$header" |
		"$@" $strict -I"$root/include" -I"$root/uapi" \
			-I"$root/compat/gdrapi" -; then
		echo "ok: <$header> with $*"
	else
		echo "FAILED: <$header> with $*"
		failed=1
	fi
}

# together COMPILER... : compiles files that include the library's header and
# the kernel's
together()
{
	for headers in "gpumem.h linux/gpumem.h" "linux/gpumem.h gpumem.h"; do
		if printf '#include <%s>\n' $headers |
			"$@" $strict -I"$root/include" -I"$root/uapi" -; then
			echo "ok: $headers with $*"
		else
			echo "FAILED: $headers with $*"
			failed=1
		fi
	done
}

alone gpumem.h $cc -std=c11 -x c
alone gdrapi.h $cc -std=c11 -x c
together $cc -std=gnu11 -x c
alone linux/gpumem.h $cc -std=gnu11 -x c
alone gpumemioctl.h $cc -std=gnu11 -x c
for cxx in "${CXX:-c++}" clang++; do
	if command -v "$cxx" >/dev/null; then
		alone gpumem.h "$cxx" -std=c++11 -x c++
		alone gdrapi.h "$cxx" -std=c++11 -x c++
		alone gpumem.h "$cxx" -std=c++17 -x c++
		together "$cxx" -std=gnu++17 -x c++
	else
		echo "skipped: no C++ compiler $cxx here"
	fi
done
exit $failed
