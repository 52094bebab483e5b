# SPDX-License-Identifier: MIT
# timeout: 900
# Random operations over both interfaces, 100,000 on each kernel. FUZZ_OPS and FUZZ_SEED choose others.
insmod /lib/modules/fpga_dma.ko
vm-fuzz "${FUZZ_OPS:-100000}" "${FUZZ_SEED:-1}"
rmmod fpga_dma
