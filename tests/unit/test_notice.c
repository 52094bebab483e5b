// SPDX-License-Identifier: MIT
/* What is said of a wait: once, if it takes long, and nothing if it does not. */
#include <errno.h>
#include <semaphore.h>
#include <time.h>

#include "../../lib/base/notice.h"
#include "unit.h"

#define S 1000000000ull

static sem_t said;
static const char *what;
static bool short_time; /* what is waited for comes at once */
static struct timespec until; /* when the last wait was to end */

/* The linker puts it in pthread_cond_timedwait()'s place. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
				  const struct timespec *time);
int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
				  const struct timespec *time);

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock,
				  const struct timespec *time)
{
	until = *time;
	return short_time ? ETIMEDOUT
			  : __real_pthread_cond_timedwait(cond, lock, time);
}

static uint64_t ns_of(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * S + (uint64_t)time->tv_nsec;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ns_of(&now);
}

static void say(const char *text)
{
	what = text;
	sem_post(&said);
}

static void a_long_wait_is_told_once(void **state)
{
	static const uint64_t after[] = { 0, 1, S - 1, S, 2 * S, 5 * S / 2 };
	struct gm_notice notice;
	int times;

	short_time = true;
	for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		const uint64_t before = now_ns();

		what = NULL;
		gm_notice_begin(&notice, after[i], say, "of this");
		/* However long the thread takes to begin. */
		assert_int_equal(sem_wait(&said), 0);
		assert_string_equal(what, "of this");
		gm_notice_end(&notice);
		assert_int_equal(sem_getvalue(&said, &times), 0);
		assert_int_equal(times, 0);
		assert_true(until.tv_nsec < (long)S);
		assert_true(ns_of(&until) >= before + after[i]);
		assert_true(ns_of(&until) <= now_ns() + after[i]);
	}
	short_time = false;
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
