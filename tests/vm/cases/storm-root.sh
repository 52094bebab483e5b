# SPDX-License-Identifier: MIT
# timeout: 600
# kill -9, 1000 times at random moments, as root, with a device to map for.
insmod /lib/modules/fpga_dma.ko
vm-storm "${STORM_KILLS:-1000}"
rmmod fpga_dma
