# SPDX-License-Identifier: MIT
# Every error of the driver's get_pages.
vm-limits get-pages
