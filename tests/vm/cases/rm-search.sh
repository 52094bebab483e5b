# SPDX-License-Identifier: MIT
# Memory of cuMemCreate that cannot be exported, which the rm backend looks for.
for mode in orders distinct ages refused fork; do
	vm-lib-rm-search $mode
done
size=/sys/module/gpumem_emu/parameters/bar1_size
before=$(cat $size)
trap 'echo "$before" >$size' EXIT
vm-lib-rm-search full
