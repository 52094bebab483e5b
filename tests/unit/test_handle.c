// SPDX-License-Identifier: MIT
/* Handles that are not live give -EBADF, whatever their value. */
#include <pthread.h>

#include "unit.h"

static void every_call_refuses(struct gpumem_buf *buf)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	uint64_t page;
	size_t count = 1;
	void *addr;
	char byte = 0;

	unit_expect_error(gpumem_map(buf, &addr), -EBADF,
			  "map: ", "no live buffer handle", NULL);
	unit_expect_error(gpumem_unmap(buf), -EBADF, "unmap: ", NULL);
	unit_expect_error(gpumem_buf_get(buf, &info), -EBADF,
			  "buf_get: ", NULL);
	unit_expect_error(gpumem_pages(buf, 0, &page, &count), -EBADF,
			  "pages: ", NULL);
	unit_expect_error(gpumem_write(buf, 0, &byte, 1), -EBADF,
			  "write: ", NULL);
	unit_expect_error(gpumem_read(buf, 0, &byte, 1), -EBADF,
			  "read: ", NULL);
	unit_expect_error(gpumem_unpin(buf), -EBADF, "unpin: ", NULL);
}

static void session_calls_refuse(struct gpumem *session)
{
	struct gpumem_device device = { .size = sizeof(device) };
	struct gpumem_buf *buf;
	int count;

	unit_expect_error(gpumem_pin(session, 4096, 1, 0, &buf), -EBADF,
			  "pin: ", "no live session handle", NULL);
	unit_expect_error(gpumem_alloc(session, 1, 0, &buf), -EBADF,
			  "alloc: ", NULL);
	unit_expect_error(gpumem_device_count(session, &count), -EBADF,
			  "device_count: ", NULL);
	unit_expect_error(gpumem_device_get(session, 0, &device), -EBADF,
			  "device_get: ", NULL);
	assert_null(gpumem_backend_name(session));
	unit_expect_error(0, 0, "backend_name: ", NULL);
	assert_null(gpumem_cuda_symbol(session, "cuInit"));
	unit_expect_error(0, 0, "cuda_symbol: ", NULL);
	unit_expect_error(gpumem_close(session), -EBADF, "close: ", NULL);
}

static void null_is_no_handle(void **state)
{
	every_call_refuses(NULL);
	session_calls_refuse(NULL);
}

static void garbage_is_no_handle(void **state)
{
	static const uint64_t garbage[] = {
		1,
		0x1000,
		UINT64_MAX,
		0x5e00000000000000,
		0x6b00000000000000,
		0x6bffffffffffffff,
		0x5effffffffffffff,
		0x7fffffffffff,
		0x6b00000001ffffff,
	};
	int local;

	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		every_call_refuses((void *)garbage[i]);
		session_calls_refuse((void *)garbage[i]);
	}
	every_call_refuses((void *)&local);
	session_calls_refuse((void *)&local);
}

static void a_handle_of_the_other_kind_is_refused(void **state)
{
	CUdeviceptr addr = unit_alloc(4096);
	struct gpumem_buf *buf = unit_pin(addr, 4096);

	every_call_refuses((struct gpumem_buf *)unit_session);
	session_calls_refuse((struct gpumem *)buf);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void an_unpinned_buffer_is_refused(void **state)
{
	CUdeviceptr addr = unit_alloc(4096);
	struct gpumem_buf *buf = unit_pin(addr, 4096);

	assert_int_equal(gpumem_unpin(buf), 0);
	every_call_refuses(buf);
	unit_free(addr);
}

static void a_reused_slot_does_not_revive_a_stale_handle(void **state)
{
	CUdeviceptr addr = unit_alloc(4096);
	struct gpumem_buf *stale[64], *live;

	for (int i = 0; i < 64; i++) {
		stale[i] = unit_pin(addr, 4096);
		assert_int_equal(gpumem_unpin(stale[i]), 0);
	}
	live = unit_pin(addr, 4096);
	for (int i = 0; i < 64; i++) {
		assert_ptr_not_equal(stale[i], live);
		every_call_refuses(stale[i]);
	}
	assert_int_equal(gpumem_unpin(live), 0);
	unit_free(addr);
}

static void a_closed_session_is_refused(void **state)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	struct gpumem *session;

	assert_int_equal(gpumem_open(&options, &session), 0);
	assert_string_equal(gpumem_backend_name(session), "sim");
	assert_int_equal(gpumem_close(session), 0);
	session_calls_refuse(session);
}

static void closing_ends_the_buffers_too(void **state)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	struct gpumem_buf *buf[40];
	struct gpumem_sim_info info;
	struct gpumem *session;
	void *cpu;

	assert_int_equal(gpumem_open(&options, &session), 0);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(gpumem_alloc(session, 70000, 0, &buf[i]), 0);
		if (i % 2)
			assert_int_equal(gpumem_map(buf[i], &cpu), 0);
	}
	assert_int_equal(gpumem_close(session), 0);
	for (int i = 0; i < 40; i++)
		every_call_refuses(buf[i]);
	assert_int_equal(unit_cuda.sim_info(&info), 0);
	assert_int_equal(info.pins, 0);
}

static void a_thousand_buffers_have_handles_of_their_own(void **state)
{
	CUdeviceptr addr = unit_alloc(4096);
	static struct gpumem_buf *buf[1000];
	struct gpumem_buf_info info = { .size = sizeof(info) };

	for (int i = 0; i < 1000; i++)
		buf[i] = unit_pin(addr + i, 1 + i);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(gpumem_buf_get(buf[i], &info), 0);
		assert_int_equal(info.addr, addr + i);
		assert_int_equal(info.length, 1 + i);
		assert_int_equal(gpumem_unpin(buf[i]), 0);
	}
	unit_free(addr);
}

struct race {
	struct gpumem_buf *buf;
	pthread_barrier_t start;
	int won;
	pthread_mutex_t lock;
};

static void *race_unpin(void *arg)
{
	struct race *race = arg;
	int rc;

	pthread_barrier_wait(&race->start);
	rc = gpumem_unpin(race->buf);
	pthread_mutex_lock(&race->lock);
	race->won += !rc;
	pthread_mutex_unlock(&race->lock);
	return (void *)(intptr_t)(rc && rc != -EBADF);
}

static void of_many_unpins_at_once_one_succeeds(void **state)
{
	CUdeviceptr addr = unit_alloc(MIB);
	struct race race = { .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t threads[6];

	pthread_barrier_init(&race.start, NULL, 6);
	for (int round = 0; round < 100; round++) {
		race.won = 0;
		race.buf = unit_pin(addr, MIB);
		for (int i = 0; i < 6; i++)
			assert_int_equal(pthread_create(&threads[i], NULL,
							race_unpin, &race),
					 0);
		for (int i = 0; i < 6; i++) {
			void *bad;

			pthread_join(threads[i], &bad);
			assert_null(bad);
		}
		assert_int_equal(race.won, 1);
	}
	pthread_barrier_destroy(&race.start);
	unit_free(addr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_is_no_handle),
		cmocka_unit_test(garbage_is_no_handle),
		cmocka_unit_test(a_handle_of_the_other_kind_is_refused),
		cmocka_unit_test(an_unpinned_buffer_is_refused),
		cmocka_unit_test(a_reused_slot_does_not_revive_a_stale_handle),
		cmocka_unit_test(a_closed_session_is_refused),
		cmocka_unit_test(closing_ends_the_buffers_too),
		cmocka_unit_test(a_thousand_buffers_have_handles_of_their_own),
		cmocka_unit_test(of_many_unpins_at_once_one_succeeds),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
