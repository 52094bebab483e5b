// SPDX-License-Identifier: MIT
#include "abi_table.h"
#include "abi/cuda.h"

const struct abi_value abi_ours[] = {
#include "abi_values.h"
};

const unsigned long abi_ours_count = sizeof(abi_ours) / sizeof(abi_ours[0]);
