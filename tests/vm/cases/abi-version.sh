# SPDX-License-Identifier: MIT
# VERSION.
vm-abi-good version
