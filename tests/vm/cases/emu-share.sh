# SPDX-License-Identifier: MIT
# The emulated GPU itself: memory by descriptor, views, dma-bufs, other drivers.
emu_selftest_share
