# SPDX-License-Identifier: MIT
# Memory of cuMemCreate that cannot be exported: the rm backend finds it in CUDA's
# records, and where these name no object it looks for it.
vm-lib-rm-search record
GPUMEM_SIM_VMM_RECORD=last vm-lib-rm-search newest
export GPUMEM_SIM_VMM_RECORD=0
for mode in orders distinct ages refused fork; do
	vm-lib-rm-search $mode
done
size=/sys/module/gpumem_emu/parameters/bar1_size
before=$(cat $size)
trap 'echo "$before" >$size' EXIT
vm-lib-rm-search full
