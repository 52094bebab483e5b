# SPDX-License-Identifier: MIT
# A forked child can use neither file nor mapping.
vm-process fork
