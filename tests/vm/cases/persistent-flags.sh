# SPDX-License-Identifier: MIT
# PIN's flags and event_fd: what is refused.
vm-persistent flags
