# SPDX-License-Identifier: MIT
# Through CUDA's dma-bufs, where the driver lets them be mapped, and where not.
. /cases/lib.sh
allowed=/sys/module/gpumem_emu/parameters/dmabuf_mmap
before=$(cat $allowed)
trap 'echo "$before" >$allowed' EXIT

echo 1 >$allowed
vm-lib-rm-vmm data dmabuf
# The driver maps the first of several allocations alone, and says nothing.
vm-lib-rm-vmm span-refused dmabuf
echo 2 >$allowed
vm-lib-rm-vmm span dmabuf
echo 0 >$allowed
fails 3 gpumem demo --backend dmabuf 2>/tmp/err
grep "does not let them be mapped" /tmp/err
