# SPDX-License-Identifier: MIT
# The rm backend on drivers from 515 on, with their layouts, and before.
. /cases/lib.sh
version=/sys/module/gpumem_emu/parameters/rm_version
before=$(cat $version)
trap 'echo "$before" >$version' EXIT

for v in 515.43.04 525.147.05 535.43.01 535.43.02 550.54.14 570.86.15 580.159.04 620.10 700.1; do
	echo "driver $v"
	echo $v >$version
	vm-lib-rm data
done
for v in 470.256.02 510.108.03; do
	echo "driver $v"
	echo $v >$version
	fails 3 gpumem demo --backend rm 2>/tmp/err
	grep "$v" /tmp/err
	grep "needs 515 or newer" /tmp/err
done
