# SPDX-License-Identifier: MIT
# /proc/gpumem as a user: pins, no physical address.
. /cases/lib.sh
as_user vm-proc user
