# SPDX-License-Identifier: MIT
# Memory that is no GPU's cannot be pinned: the same errno as with NVIDIA's driver
# (tests/driver/cases/pins-refused.sh runs the same program).
. /cases/lib.sh
vm-pins refused
as_user vm-pins refused
vm-pins again
as_user vm-pins again
