# SPDX-License-Identifier: MIT
# A driver that describes allocations in another way is refused when the GPU is
# opened, and no memory of a program is touched.
. /cases/lib.sh
gpumem demo --backend rm
for layout in shuffled offset size zeros other; do
	echo "layout $layout"
	export GPUMEM_SIM_IPC_LAYOUT=$layout
	fails 3 gpumem demo --backend rm 2>/tmp/err
	cat /tmp/err
	grep "report the driver version" /tmp/err
done
