# SPDX-License-Identifier: MIT
# Memory of cuMemCreate, with and without a handle type, and the kinds that the
# rm backend refuses.
vm-lib-rm-vmm span
vm-lib-rm-vmm span-search
vm-lib-rm-vmm kinds
