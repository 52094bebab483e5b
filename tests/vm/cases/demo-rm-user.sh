# SPDX-License-Identifier: MIT
# gpumem demo through the driver's own interface as a user.
. /cases/lib.sh
# shellcheck disable=SC2034 # demo() of lib.sh reads it
RUN=as_user
demo rm --size 1M
demo rm --size 100000 --offset 4097
