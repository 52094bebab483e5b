# SPDX-License-Identifier: MIT
# gpumem demo on the simulated GPU.
. /cases/lib.sh
demo_sizes sim
