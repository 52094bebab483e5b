// SPDX-License-Identifier: MIT
/* What is said of a wait: once, if it takes long, and nothing if it does not. */
#include <semaphore.h>

#include "../../lib/base/notice.h"
#include "unit.h"

static sem_t said;
static const char *what;

static void say(const char *text)
{
	what = text;
	sem_post(&said);
}

static void a_long_wait_is_told_once(void **state)
{
	struct gm_notice notice;
	int times;

	what = NULL;
	gm_notice_begin(&notice, 0, say, "of this");
	/* However long the thread takes to begin. */
	assert_int_equal(sem_wait(&said), 0);
	assert_string_equal(what, "of this");
	gm_notice_end(&notice);
	assert_int_equal(sem_getvalue(&said, &times), 0);
	assert_int_equal(times, 0);
}

static void a_short_wait_is_not(void **state)
{
	struct gm_notice notice;
	int times;

	for (int i = 0; i < 100; i++) {
		gm_notice_begin(&notice, UINT64_MAX / 4, say, "of this");
		gm_notice_end(&notice);
	}
	assert_int_equal(sem_getvalue(&said, &times), 0);
	assert_int_equal(times, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_wait_is_told_once),
		cmocka_unit_test(a_short_wait_is_not),
	};

	if (sem_init(&said, 0, 0))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
