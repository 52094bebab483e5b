# SPDX-License-Identifier: MIT
# The recorder and the replayer themselves: what was recorded here replays here,
# as root and as an ordinary user, and leaves nothing; a change is noticed; a
# recording of the simulated GPU is not taken for one of a real one.
. /cases/lib.sh
tape=/tmp/tape
vm-rm-record $tape && vm-rm-replay --simulated $tape || exit 1
fails 1 vm-rm-replay $tape || exit 1
chmod 0644 $tape
as_user vm-rm-replay --simulated $tape || exit 1
sed 's/^\(call unmap-line .* 24:4=\).*/\10x0/' $tape >$tape.bad
cmp -s $tape $tape.bad && { echo "there was nothing to change"; exit 1; }
fails 1 vm-rm-replay --simulated $tape.bad || exit 1
rm -f $tape $tape.bad
