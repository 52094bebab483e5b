# SPDX-License-Identifier: MIT
# A process that fails to pin does not own the file.
vm-process claim-failed
