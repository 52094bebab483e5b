# SPDX-License-Identifier: MIT
# A node that this user may not open.
. /cases/lib.sh
trap 'chmod 0666 /dev/gpumem' EXIT
chmod 0600 /dev/gpumem
as_user vm-abi-good version >/tmp/version && exit 1
grep -q 'open /dev/gpumem: Permission denied' /tmp/version || { cat /tmp/version; exit 1; }
# Given to the user, it works again.
chown 1000 /dev/gpumem
as_user vm-abi-good data
chown 0 /dev/gpumem
