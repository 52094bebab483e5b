# SPDX-License-Identifier: MIT
# timeout: 3000
# The calls of two modules, gpumem.ko and /lib/modules/before.ko, in blocks that
# alternate: scripts/module-cost.sh. The clock of this VM counts instructions.
. /cases/lib.sh
blocks=9
[ -e /lib/modules/before.ko ] || { echo "there is no module to compare with: see scripts/module-cost.sh"; exit 77; }
board_load
trap 'rmmod fpga_dma' EXIT
block()
{
	rmmod gpumem
	insmod "/lib/modules/$1.ko"
	vm-cost | sed "s/^/$1 /" >>/tmp/cost
}
for _ in $(seq $blocks); do
	block before
	block gpumem
done
chmod 0666 /dev/gpumem
awk '
function sort(a, n,   i, j, t)
{
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && a[j] < a[j - 1]; j--) {
			t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
		}
}
function middle(which, call, n,   i, a)
{
	for (i = 1; i <= n; i++)
		a[i] = v[which, call, i]
	sort(a, n)
	return a[int((n + 1) / 2)]
}
{ n = ++count[$1, $2]; v[$1, $2, n] = $3; if ($1 == "before" && n == 1) names[++calls] = $2 }
END {
	for (c = 1; c <= calls; c++) {
		name = names[c]
		n = count["before", name]
		for (i = 1; i <= n; i++)
			ratio[i] = v["gpumem", name, i] / v["before", name, i]
		sort(ratio, n)
		printf "| %s | %.2f | %.2f | %.3f (%.3f..%.3f) |\n", name, middle("before", name, n),
			middle("gpumem", name, n), ratio[int((n + 1) / 2)], ratio[1], ratio[n]
	}
}' /tmp/cost
