// SPDX-License-Identifier: MIT
#include <cuda.h>
#include <stddef.h>

#include "abi_table.h"

const struct abi_value abi_theirs[] = {
#include "abi_values.h"
};

const unsigned long abi_theirs_count =
	sizeof(abi_theirs) / sizeof(abi_theirs[0]);
