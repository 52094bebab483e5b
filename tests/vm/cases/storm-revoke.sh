# SPDX-License-Identifier: MIT
# timeout: 600
# Memory taken back 1000 times at random moments, in races with every call.
insmod /lib/modules/fpga_dma.ko
vm-revocations 1000
rmmod fpga_dma
