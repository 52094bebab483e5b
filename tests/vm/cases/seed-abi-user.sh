# SPDX-License-Identifier: MIT
# The original client as an ordinary user.
. /cases/lib.sh
as_user vm-seed-client 1048576 | grep -qx 'Test successful'
