# SPDX-License-Identifier: MIT
# gpumem demo through gpumem.ko as a user.
. /cases/lib.sh
# shellcheck disable=SC2034 # demo() of lib.sh reads it
RUN=as_user
demo kmod --size 1M
demo kmod --size 100000 --offset 4097
