# SPDX-License-Identifier: MIT
# A process that was sent the descriptor can use nothing.
vm-process passed
