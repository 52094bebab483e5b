# SPDX-License-Identifier: MIT
# The limit on what a user pins: one process.
trap 'echo 0 >/sys/module/gpumem/parameters/user_limit' EXIT
vm-user-limit alone
