# SPDX-License-Identifier: MIT
# timeout: 300
# kill -9, 1000 times at random moments, as root, with a device to map for.
insmod /lib/modules/fpga_dma.ko
vm-storm 1000
rmmod fpga_dma
