# SPDX-License-Identifier: MIT
# Persistent pins: the memory outlives cuMemFree until UNPIN, close or kill.
vm-persistent persistent
