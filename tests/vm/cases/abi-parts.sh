# SPDX-License-Identifier: MIT
# Mappings of parts of a pin.
vm-abi-good parts
