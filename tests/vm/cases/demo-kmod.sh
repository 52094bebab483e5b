# SPDX-License-Identifier: MIT
# gpumem demo through gpumem.ko.
. /cases/lib.sh
demo_sizes kmod
demo kmod --size 256M
