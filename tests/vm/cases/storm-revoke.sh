# SPDX-License-Identifier: MIT
# timeout: 300
# Memory taken back 1000 times at random moments, in races with every call.
insmod /lib/modules/fpga_dma.ko
vm-revocations 1000
rmmod fpga_dma
