# SPDX-License-Identifier: MIT
# The limit on what a user pins: a pin that the driver keeps, with a mapping left.
trap 'echo 0 >/sys/module/gpumem/parameters/user_limit' EXIT
vm-user-limit forgotten
