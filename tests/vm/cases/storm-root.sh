# SPDX-License-Identifier: MIT
# kill -9, 200 times at random moments, as root.
vm-storm 200
