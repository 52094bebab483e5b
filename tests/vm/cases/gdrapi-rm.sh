# SPDX-License-Identifier: MIT
# GDRCopy's interface over the rm backend, as root and as an ordinary user.
. /cases/lib.sh
export GPUMEM_BACKEND=rm
for mode in data refusals rounding freed close fork stranger threads; do
	vm-gdrapi $mode
	as_user vm-gdrapi $mode
done
