#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""embed.py IN OUT NAME: writes a C file with a text as the string NAME.

Comments and empty lines of the PTX text are left out.
"""
import json
import sys

source, target, name = sys.argv[1:]
with open(source, encoding="ascii") as file:
    lines = [line.rstrip() for line in file]
with open(target, "w", encoding="ascii") as file:
    file.write("/* Made by embed.py; do not edit. */\n")
    file.write(f"extern const char {name}[];\n\nconst char {name}[] =\n")
    for line in lines:
        if line and not line.lstrip().startswith("//"):
            # JSON's quoting of ASCII text is C's too.
            file.write(f"\t{json.dumps(line)} \"\\n\"\n")
    file.write("\t;\n")
