# SPDX-License-Identifier: MIT
# Video memory runs out.
vm-limits memory
