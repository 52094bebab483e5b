# SPDX-License-Identifier: MIT
# gpumem_dma_map() for a device that vfio-pci has, that does not reach the memory,
# or that the NVIDIA driver refuses: what it says. The driver that manages DMA as
# vfio-pci does and the refusal are simulated.
. /cases/lib.sh
peer=$(board_address)
fail=/sys/module/gpumem_emu/parameters/fail_dma_map
trap 'echo 0 >$fail' EXIT
insmod /lib/modules/importer.ko managed=1
vm-lib-dma vfio $peer
rmmod importer
mask_set 32
vm-lib-dma mask $peer
mask_set 64
echo 95 >$fail
vm-lib-dma topology $peer
echo 22 >$fail
vm-lib-dma driver $peer
