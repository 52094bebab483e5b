# SPDX-License-Identifier: MIT
# The emulated GPU itself, from its CUDA side.
emu_selftest
