/* SPDX-License-Identifier: MIT */
/* The values of abi_values.h, as one header or the other has them. */
#ifndef ABI_TABLE_H
#define ABI_TABLE_H

struct abi_value {
	const char *name;
	long long value;
};

extern const struct abi_value abi_ours[];
extern const struct abi_value abi_theirs[];
extern const unsigned long abi_ours_count;
extern const unsigned long abi_theirs_count;

#define ABI_VALUE(x) { #x, (long long)(x) },

#endif /* ABI_TABLE_H */
