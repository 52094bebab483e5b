# SPDX-License-Identifier: MIT
# A client written against the original header alone.
. /cases/lib.sh
for args in 1048576 1 65536 65537 '300000 65536' '1000 12345' 16777216; do
	vm-seed-client $args >/tmp/seed || { cat /tmp/seed; echo "seed-client $args"; exit 1; }
	[ "$(cat /tmp/seed)" = 'Test successful' ] || { cat /tmp/seed; exit 1; }
done
