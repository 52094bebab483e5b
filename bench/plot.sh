#!/bin/sh
# SPDX-License-Identifier: MIT
# Draws PNG and SVG plots of what `gpumem bench copy --json` printed.
#
#   bench/plot.sh COPY.json FOLDER
#
# GPUMEM_TOOL names the command, otherwise it is the one of the build in
# GPUMEM_BUILD (build-gpu if that is not set), or of PATH. The
# folder gets copy.dat and copy.gp as well: gnuplot copy.gp there draws again.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
[ $# -eq 2 ] || {
	echo "usage: bench/plot.sh COPY.json FOLDER" >&2
	exit 2
}
tool=${GPUMEM_TOOL:-${GPUMEM_BUILD:-$root/build-gpu}/tools/gpumem}
[ -n "${GPUMEM_TOOL:-}" ] || [ -x "$tool" ] || tool=gpumem
mkdir -p "$2"
python3 - "$1" >"$2/copy.dat" <<'END'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    run = json.load(file)
machine = run["machine"]
print(
    "# {gpu}, driver {driver}, {cpu}, {date}".format(**machine)
)
rows = [row for row in run["rows"] if row["align"] == run["rows"][0]["align"]]
for direction in ("write", "read"):
    for host in ("pageable", "pinned"):
        group = [
            row
            for row in rows
            if (row["direction"], row["host"]) == (direction, host)
        ]
        ways = []
        for row in group:
            ways += [way for way in row["us"] if way not in ways]
        for kind, key in (("latency", "median"), ("bandwidth", "gb_per_s")):
            if not group:
                continue
            print("\t".join([f"bytes:{direction}-{host}-{kind}", *ways]))
            for row in group:
                figures = [
                    str(row["us"][way][key]) if way in row["us"] else "-"
                    for way in ways
                ]
                print("\t".join([str(row["size"]), *figures]))
            print("\n")
END
exec "$tool" bench copy --replot "$2"
