# SPDX-License-Identifier: MIT
# What the rm backend keeps for reuse.
for mode in again reuse freed aside large bounds off fork context exec threads; do
	vm-lib-rm-cache $mode
done
