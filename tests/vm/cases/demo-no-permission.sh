# SPDX-License-Identifier: MIT
# The node is there but not for this user.
. /cases/lib.sh
chmod 0600 /dev/gpumem
trap "chmod 0666 /dev/gpumem" EXIT
fails 3 as_user gpumem demo --backend kmod >/tmp/demo.out 2>&1 || { cat /tmp/demo.out; exit 1; }
cat /tmp/demo.out
grep -q "/dev/gpumem" /tmp/demo.out
grep -qi "permission\|may not open" /tmp/demo.out
# Without a choice the next backend is taken.
RUN=as_user
$RUN gpumem demo >/tmp/demo.out 2>&1 || { cat /tmp/demo.out; exit 1; }
grep -qx "backend  rm" /tmp/demo.out
