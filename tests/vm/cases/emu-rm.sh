# SPDX-License-Identifier: MIT
# The emulated GPU itself, as the stock driver's device nodes.
emu_selftest_rm
