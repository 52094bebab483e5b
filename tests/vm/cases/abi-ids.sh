# SPDX-License-Identifier: MIT
# Unknown pins, other files' pins, unknown commands.
vm-abi-bad ids
