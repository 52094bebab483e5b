# SPDX-License-Identifier: MIT
# A process that sleeps in poll() is woken by the revocation.
vm-persistent poll
