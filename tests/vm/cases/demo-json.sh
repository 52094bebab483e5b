# SPDX-License-Identifier: MIT
# gpumem demo --json.
gpumem demo --json --backend kmod --size 4M >/tmp/demo.out || {
	cat /tmp/demo.out
	grep -q "without JSON" /tmp/demo.out && exit 77
	exit 1
}
cat /tmp/demo.out
grep -q "\"success\": *true" /tmp/demo.out
grep -q "\"backend\": *\"kmod\"" /tmp/demo.out
