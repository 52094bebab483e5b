/* SPDX-License-Identifier: MIT */
/* What the tests of libgdrapi share, beside unit.h: one open library. */
#ifndef GDRAPI_UNIT_H
#define GDRAPI_UNIT_H

#include <gdrapi.h>

#include "unit.h"

/* Set up as unit_setup(), torn down as unit_teardown(). */
extern gdr_t gdr_unit;
int gdr_unit_setup(void **state);
int gdr_unit_teardown(void **state);

/* Memory at a page's start, with bytes behind it; freed by its place. */
struct gdr_unit_memory {
	CUdeviceptr place;
	CUdeviceptr addr;
};

struct gdr_unit_memory gdr_unit_alloc(size_t bytes);

gdr_mh_t gdr_unit_pin(CUdeviceptr addr, size_t bytes);
void *gdr_unit_map(gdr_mh_t mh, size_t bytes);

/* Runs body in a child: 0, or what it returned. */
int gdr_unit_child(int (*body)(void *), void *arg);

/* An access in a child: 0, or the signal that ended it. */
int gdr_unit_touch(const volatile void *at);

/* Whether this process can read an address. */
bool gdr_unit_readable(const void *at, size_t bytes);

/* In a child: which check failed, from 1 on. */
extern int gdr_unit_number;
#define CHECK(condition)                        \
	do {                                    \
		gdr_unit_number++;              \
		if (!(condition))               \
			return gdr_unit_number; \
	} while (0)

#endif /* GDRAPI_UNIT_H */
