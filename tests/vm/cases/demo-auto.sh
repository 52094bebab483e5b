# SPDX-License-Identifier: MIT
# Without a choice the demo takes gpumem.ko.
gpumem demo >/tmp/demo.out 2>&1 || { cat /tmp/demo.out; exit 1; }
cat /tmp/demo.out
grep -qx "backend  kmod" /tmp/demo.out
grep -qx "Test successful" /tmp/demo.out
