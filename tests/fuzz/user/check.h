/* SPDX-License-Identifier: MIT */
/* Each target of libFuzzer here has these. */
#ifndef GPUMEM_FUZZ_CHECK_H
#define GPUMEM_FUZZ_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What must hold whatever the input is; libFuzzer keeps the one that breaks it. */
#define check(condition)                                                 \
	do {                                                             \
		if (!(condition)) {                                      \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, \
				__LINE__, #condition);                   \
			abort();                                         \
		}                                                        \
	} while (0)

#endif /* GPUMEM_FUZZ_CHECK_H */
