# SPDX-License-Identifier: MIT
# The library's persistent pins, revocation eventfd, dma-bufs and the limit.
. /cases/lib.sh
limit=/sys/module/gpumem/parameters/user_limit
trap 'echo 0 >$limit' EXIT
for mode in event persistent export; do
	vm-lib-pin $mode
	as_user vm-lib-pin $mode
done
echo 3 >$limit
as_user vm-lib-pin quota
