# SPDX-License-Identifier: MIT
# Memory of cuMemCreate, and the kinds that the rm backend refuses.
vm-lib-rm-vmm span
vm-lib-rm-vmm kinds
