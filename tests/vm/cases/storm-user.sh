# SPDX-License-Identifier: MIT
# timeout: 600
# kill -9, 1000 times at random moments, as a user.
. /cases/lib.sh
as_user vm-storm "${STORM_KILLS:-1000}"
