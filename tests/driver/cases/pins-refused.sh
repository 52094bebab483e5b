# SPDX-License-Identifier: MIT
# No memory here is a GPU's: each pin is refused, with the errno that the emulated
# GPU's driver gives (tests/vm/cases/pins-refused.sh runs the same program).
. /cases/lib.sh
vm-pins refused
as_user vm-pins refused
vm-pins again
as_user vm-pins again
