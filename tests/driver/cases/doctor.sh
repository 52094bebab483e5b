# SPDX-License-Identifier: MIT
# gpumem doctor with NVIDIA's driver and a GPU that cannot be initialised, and no
# CUDA: it names the driver, the GPU and the module, and that nothing can be used.
. /cases/lib.sh
gpu=$(gpu_address)
version=$(driver_version)

# line LEVEL CHECK TEXT: that line is there, with its further rows.
line()
{
	sed -e ':a' -e '$!N' -e 's/\n  */ /' -e 'ta' -e P -e D /tmp/doctor.out |
		grep -q "^$1  *$2  *.*$3" && return 0
	echo "no line: $1 $2 $3"
	return 1
}

for RUN in "" as_user; do
	code=0
	$RUN gpumem doctor >/tmp/doctor.out 2>&1 || code=$?
	cat /tmp/doctor.out
	[ $code = 3 ]
	line ok gpu "1 on the PCI bus, the first is $gpu"
	line fail backend "none can be used here"
	line ok driver "$version, open kernel modules"
	line ok nvidiactl "can be opened"
	line fail gpu-node "$gpu: /dev/nvidia0: Input/output error"
	line ok kernel-module "through /dev/gpumem"
	line ok bar1 "256 MiB"
done
