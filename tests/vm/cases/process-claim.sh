# SPDX-License-Identifier: MIT
# The first process to pin owns the file.
vm-process claim
