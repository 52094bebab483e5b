# SPDX-License-Identifier: MIT
# The limit on what a user pins: several processes and users.
trap 'echo 0 >/sys/module/gpumem/parameters/user_limit' EXIT
vm-user-limit shared
