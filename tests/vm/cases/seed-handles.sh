# SPDX-License-Identifier: MIT
# Handles that are not live handles of the file.
vm-seed-errors handles
