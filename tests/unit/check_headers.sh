#!/bin/sh
# SPDX-License-Identifier: MIT
# Each installed header compiles alone: the public one as C11 and as C++, those
# of the kernel's interface as C.
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
		"$@" $strict -I"$root/include" -I"$root/uapi" -; then
		echo "ok: <$header> with $*"
	else
		echo "FAILED: <$header> with $*"
		failed=1
	fi
}

alone gpumem.h $cc -std=c11 -x c
alone linux/gpumem.h $cc -std=gnu11 -x c
alone gpumemioctl.h $cc -std=gnu11 -x c
for cxx in "${CXX:-c++}" clang++; do
	if command -v "$cxx" >/dev/null; then
		alone gpumem.h "$cxx" -std=c++11 -x c++
		alone gpumem.h "$cxx" -std=c++17 -x c++
	else
		echo "skipped: no C++ compiler $cxx here"
	fi
done
exit $failed
