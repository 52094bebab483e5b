/* SPDX-License-Identifier: MIT */
/*
 * cmocka says when a group's tear-down failed, and counts it as no failure.
 * Here it is one.
 */
#ifndef GPUMEM_UNIT_GROUP_H
#define GPUMEM_UNIT_GROUP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static CMFixtureFunction group_last;
static bool group_ended; /* a check that fails in the tear-down leaves it */

static inline int group_teardown(void **state)
{
	int rc = group_last ? group_last(state) : 0;

	group_ended = !rc;
	return rc;
}

/* What main() returns. Either function may be NULL. */
#define group_run(tests, setup, teardown)                             \
	(group_last = (teardown),                                     \
	 cmocka_run_group_tests(tests, setup, group_teardown) != 0 || \
		 !group_ended)

#endif /* GPUMEM_UNIT_GROUP_H */
