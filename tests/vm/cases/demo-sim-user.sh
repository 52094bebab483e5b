# SPDX-License-Identifier: MIT
# gpumem demo on the simulated GPU as a user.
. /cases/lib.sh
# shellcheck disable=SC2034 # demo() of lib.sh reads it
RUN=as_user
demo sim --size 1M
