# SPDX-License-Identifier: MIT
# /proc/gpumem read while pins come and go.
vm-proc churn
