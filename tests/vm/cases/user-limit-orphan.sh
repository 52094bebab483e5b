# SPDX-License-Identifier: MIT
# The limit on what a user pins: a file closed last by another process.
trap 'echo 0 >/sys/module/gpumem/parameters/user_limit' EXIT
vm-user-limit orphan
