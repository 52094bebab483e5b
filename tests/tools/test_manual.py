#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of man/make_manual.py: what it makes of a header, and which it refuses.

Usage: test_manual.py MAKE_MANUAL.PY [unittest options]
"""

import os
import subprocess
import sys
import tempfile
import unittest

MAKE = os.path.abspath(sys.argv.pop(1))

HEADER = r"""
/**
 * @file gpumem.h
 * About all.
 *
 * Errors of any call:
 *   -EPERM  not yours
 *           at all
 */
/** @name Things */

/** A thing. */
struct gpumem_thing {
	size_t size; /**< its size; "\x1" */
	/** where it is,
	 * or NULL */
	const char *place;
};

/** Big. */
#define GPUMEM_BIG 1u

/**
 * Makes a thing. See gpumem_end() and `gpumem tune`.
 * .5 of it.
 *
 *	literal \n
 *
 * @param thing  the
 *               thing
 * @param big    how big
 * @return 0, or
 *   -EIO      broken
 *   -ENODEV   gone,
 *             or never there
 */
int gpumem_make(struct gpumem_thing *thing,
		unsigned int big);

/** Ends. @return is not a tag here. */
const char *gpumem_end(void);
"""

TEMPLATE = """.Os gpumem @VERSION@
@NAMES@
@SYNOPSIS@
@DESCRIPTION@
@REFERENCE@
@EXAMPLE@
"""

WANT = r""".Os gpumem 1.2.3
.Nm gpumem_make ,
.Nm gpumem_end
.Ft int
.Fo gpumem_make
.Fa "struct gpumem_thing *thing"
.Fa "unsigned int big"
.Fc
.Ft const char *
.Fn gpumem_end void
About all.
.Pp
Errors of any call:
.Bl -tag -width Ds
.It Bq Er -EPERM
not yours at all
.El
.Sh THINGS
.Ss struct gpumem_thing
A thing.
.Bl -tag -width Ds
.It Vt "size_t" Fa size
its size; "\ex1"
.It Vt "const char" Fa *place
where it is, or NULL
.El
.Ss GPUMEM_BIG
.Bl -tag -width Ds
.It Dv GPUMEM_BIG
Big.
.El
.Ss gpumem_make()
Makes a thing.
See \fBgpumem_end\fR() and \fBgpumem tune\fR.
\&.5 of it.
.Bd -literal -offset indent
literal \en
.Ed
.Bl -tag -width Ds
.It Fa thing
the thing
.It Fa big
how big
.El
.Pp
Returns 0, or
.Bl -tag -width Ds
.It Bq Er -EIO
broken
.It Bq Er -ENODEV
gone, or never there
.El
.Ss gpumem_end()
Ends.
@return is not a tag here.
.Bd -literal
puts("\en");
.Ed
"""


class Manual(unittest.TestCase):
    def make(self, header):
        with tempfile.TemporaryDirectory(prefix="gpumem-manual-") as folder:
            names = [os.path.join(folder, n) for n in ("h", "in", "c", "out")]
            for name, text in zip(names, (header, TEMPLATE, 'puts("\\n");\n')):
                with open(name, "w", encoding="ascii") as file:
                    file.write(text)
            done = subprocess.run(
                [sys.executable, MAKE, *names[:3], "1.2.3", names[3]],
                capture_output=True, text=True, check=False,
            )
            if done.returncode:
                self.assertFalse(os.path.exists(names[3]))
                return None, done.stderr
            with open(names[3], encoding="ascii") as file:
                return file.read(), done.stderr

    def test_page(self):
        page, _ = self.make(HEADER)
        self.assertEqual(page, WANT)

    def test_refused(self):
        for old, new, says in (
            ("/** Ends. @return is not a tag here. */\n", "", "no comment: gpumem_end"),
            ("/** Big. */\n", "", "no comment: GPUMEM_BIG"),
            ("/** A thing. */\n", "", "no comment: struct gpumem_thing"),
            ("/**< its size;", "/* its size;", "size has no comment"),
            (" * @param big    how big\n", "", "gpumem_make: the parameters are"),
            ("@param big ", "@param large ", "gpumem_make: the parameters are"),
            ("thing,\n\t\tunsigned int big", "thing", "gpumem_make: the parameters are"),
        ):
            self.assertIn(old, HEADER)
            page, said = self.make(HEADER.replace(old, new))
            self.assertIsNone(page, says)
            self.assertIn(says, said)


if __name__ == "__main__":
    unittest.main()
