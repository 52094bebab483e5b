# SPDX-License-Identifier: MIT
# The calls of a recording of a real GPU, made once more: those that need no GPU are
# answered as they were there, byte for byte. rm-no-gpu.txt lists them.
. /cases/lib.sh
tape=/data/rm/h100-580.159.04.txt
version=$(driver_version)
export LD_LIBRARY_PATH="$LD_LIBRARY_PATH:/usr/lib/x86_64-linux-gnu/gpumem/sim"
fails 1 vm-rm-replay $tape >/tmp/replay
# Those that were not named as other ones, by their first two words.
awk 'NR == FNR {sub(/^cannot be done: /, ""); other[$0] = 1; next}
	$1 !~ /^(open|call|child)$/ {next}
	/ => / {step = $0; sub(/ => .*/, "", step); if (!(step in other)) print $1, $2}' \
	/tmp/replay $tape >/tmp/same
awk -v driver="${version%%.*}" '!/^#/ && ($3 == "" || $3 == driver) {print $1, $2}' \
	/data/rm-no-gpu.txt >/tmp/expected
diff -u /tmp/expected /tmp/same
echo "$(grep -cE '^(open|call|child) ' $tape) calls, $(wc -l </tmp/same) answered the same"
