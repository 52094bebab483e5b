// SPDX-License-Identifier: MIT
/*
 * A thread that waits for another's copy sleeps: one of high priority that did
 * not could keep the other from the CPU for ever.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "held.h"

static struct gpumem_buf *buf;
static atomic_int unpinner_id;

/* Short, so that the copy is not counted. */
static void *copy_held(void *arg)
{
	uint64_t word = 1;

	/* Once by the long way, which prepares the short one. */
	if (gpumem_write(buf, 0, &word, sizeof(word)))
		return "first write";
	return gpumem_write(buf, 0, held.memory, 64) ? "write" : NULL;
}

static void *unpin(void *arg)
{
	atomic_store(&unpinner_id, (int)syscall(SYS_gettid));
	return gpumem_unpin(buf) ? "unpin" : NULL;
}

static bool thread_sleeps(int id)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", id);
	file = fopen(path, "re");
	if (!file)
		return false;
	/* "ID (NAME) STATE", and the name has no parenthesis. */
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(file);
	return state == 'S';
}

static void start_held(pthread_t *copier)
{
	held_make();
	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &buf), 0);
	unit_map(buf);
	assert_int_equal(pthread_create(copier, NULL, copy_held, NULL), 0);
	held_wait();
}

static void expect_end(pthread_t thread)
{
	void *result;

	assert_int_equal(pthread_join(thread, &result), 0);
	if (result)
		fail_msg("%s: %s", (char *)result, gpumem_last_error());
}

static void unpin_sleeps_and_others_go_on(void **state)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	pthread_t copier, unpinner;
	struct gpumem_buf *other;

	start_held(&copier);
	assert_int_equal(pthread_create(&unpinner, NULL, unpin, NULL), 0);
	while (!gpumem_buf_get(buf, &info))
		sched_yield();
	/* A thread that is always ready to run would be seen so for ever. */
	alarm(60);
	while (!thread_sleeps(unpinner_id))
		sched_yield();
	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &other), 0);
	assert_int_equal(gpumem_unpin(other), 0);
	/* It waits still. */
	assert_int_equal(pthread_tryjoin_np(unpinner, NULL), EBUSY);
	held_go();
	expect_end(copier);
	expect_end(unpinner);
	alarm(0);
	held_free();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unpin_sleeps_and_others_go_on),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
