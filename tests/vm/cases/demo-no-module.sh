# SPDX-License-Identifier: MIT
# gpumem.ko is not loaded.
. /cases/lib.sh
rmmod gpumem
trap "insmod /lib/modules/gpumem.ko; chmod 0666 /dev/gpumem" EXIT
fails 3 gpumem demo --backend kmod >/tmp/demo.out 2>&1 || { cat /tmp/demo.out; exit 1; }
cat /tmp/demo.out
grep -q "gpumem.*\(load\|modprobe\|install\)" /tmp/demo.out
gpumem demo >/tmp/demo.out 2>&1 || { cat /tmp/demo.out; exit 1; }
grep -qx "backend  rm" /tmp/demo.out
grep -qx "Test successful" /tmp/demo.out
gpumem info >/tmp/info 2>&1 || { cat /tmp/info; exit 1; }
grep -q "kmod" /tmp/info
