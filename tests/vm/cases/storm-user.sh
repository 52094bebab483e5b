# SPDX-License-Identifier: MIT
# kill -9, 200 times at random moments, as a user.
. /cases/lib.sh
as_user vm-storm 200
