# SPDX-License-Identifier: MIT
# Several processes pin first through one file, at once.
vm-process claim-race
