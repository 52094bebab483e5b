# SPDX-License-Identifier: MIT
# gpumem demo through the driver's own interface.
. /cases/lib.sh
demo_sizes rm
demo rm --size 256M
