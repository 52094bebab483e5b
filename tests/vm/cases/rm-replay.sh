# SPDX-License-Identifier: MIT
# What the real driver answered, as recorded, and what the emulated one answers.
. /cases/lib.sh
param=/sys/module/gpumem_emu/parameters/rm_version
before=$(cat $param)
trap 'echo "$before" >$param' EXIT
found=0
bad=0
for tape in /data/rm/*.txt; do
	[ -e "$tape" ] || continue
	found=1
	vm-rm-replay --driver "$tape" >$param
	vm-rm-replay "$tape" || bad=1
done
[ $found = 1 ] && exit $bad
echo "no recording of a real driver in tests/data/rm yet: take one with tests/gpu/rm_record on a machine with a GPU"
exit 77
