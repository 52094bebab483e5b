# SPDX-License-Identifier: MIT
# Data that was spoilt is found.
. /cases/lib.sh
for backend in kmod rm sim; do
	export GPUMEM_DEMO_CORRUPT=3-5
	fails 1 gpumem demo --backend $backend >/tmp/demo.out 2>&1 || { cat /tmp/demo.out; exit 1; }
	grep -q "^Test failed: 3 of 262144 words are wrong" /tmp/demo.out || { cat /tmp/demo.out; exit 1; }
done
