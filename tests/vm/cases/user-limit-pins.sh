# SPDX-License-Identifier: MIT
# The limit on how many pins a user has.
trap 'echo 65536 >/sys/module/gpumem/parameters/user_pins' EXIT
vm-user-limit pins
