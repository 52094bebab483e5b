# SPDX-License-Identifier: MIT
# A driver that pins no memory of its GPU, as with GeForce: kmod is not chosen.
fail=/sys/module/gpumem_emu/parameters/fail_get_pages
trap 'echo 0 >$fail' EXIT
echo 22 >$fail
gpumem demo >/tmp/demo.out 2>&1 || { cat /tmp/demo.out; exit 1; }
cat /tmp/demo.out
grep -qx "backend  rm" /tmp/demo.out
grep -qx "Test successful" /tmp/demo.out
gpumem demo --backend kmod >/tmp/demo.out 2>&1 && exit 1
cat /tmp/demo.out
grep -q "the driver pins no memory of this GPU" /tmp/demo.out
# What a limit refuses says nothing of the GPU.
echo 12 >$fail
gpumem demo >/tmp/demo.out 2>&1 && exit 1
cat /tmp/demo.out
grep -q "out of kernel memory or of BAR1 space" /tmp/demo.out
