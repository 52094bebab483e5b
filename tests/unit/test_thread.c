// SPDX-License-Identifier: MIT
/* Any thread may use any handle at any time. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "unit.h"

#define THREADS 8
#define ROUNDS 60

static void *start_and_join(void *(*body)(void *), void *arg, int count)
{
	pthread_t threads[THREADS];
	void *failed = NULL;

	for (int i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, body, arg),
				 0);
	for (int i = 0; i < count; i++) {
		void *result;

		pthread_join(threads[i], &result);
		if (result)
			failed = result;
	}
	return failed;
}

/* Threads report by value: cmocka's assertions belong to the main thread. */
static void *trouble(const char *what)
{
	static char text[200];

	snprintf(text, sizeof(text), "%s: %.150s", what, gpumem_last_error());
	return text;
}

static atomic_uint next_seed;

static void *pin_write_verify(void *arg)
{
	uint32_t seed = atomic_fetch_add(&next_seed, 1000);
	const size_t length = 100001;
	char *written = malloc(length), *seen = malloc(length);

	unit_use_context();
	for (int round = 0; round < ROUNDS; round++) {
		struct gpumem_buf *buf;
		CUdeviceptr addr;
		void *cpu;

		if (unit_cuda.alloc(&addr, length + 50))
			return "alloc";
		if (gpumem_pin(unit_session, addr + round % 50, length, 0,
			       &buf))
			return trouble("pin");
		if (gpumem_map(buf, &cpu))
			return trouble("map");
		unit_fill(written, length, seed + round);
		memcpy(cpu, written, length);
		if (unit_cuda.to_host(seen, addr + round % 50, length))
			return "copy";
		if (memcmp(seen, written, length))
			return "wrong data";
		if (gpumem_unpin(buf))
			return trouble("unpin");
		if (unit_cuda.free(addr))
			return "free";
	}
	free(written);
	free(seen);
	return NULL;
}

static void many_threads_pin_map_write_verify_and_unpin(void **state)
{
	assert_null(start_and_join(pin_write_verify, NULL, THREADS));
}

struct shared {
	struct gpumem_buf *buf;
	atomic_uint place;
	atomic_bool stop;
};

#define PART 5000

static void *use_own_part(void *arg)
{
	struct shared *shared = arg;
	uint64_t at = atomic_fetch_add(&shared->place, 1) * PART;
	char out[PART], in[PART];

	for (uint32_t round = 0; round < 200; round++) {
		void *cpu;

		unit_fill(out, PART, at + round);
		if (gpumem_write(shared->buf, at, out, PART))
			return trouble("write");
		if (round % 3 == 0 && gpumem_map(shared->buf, &cpu))
			return trouble("map");
		if (gpumem_read(shared->buf, at, in, PART))
			return trouble("read");
		if (memcmp(in, out, PART))
			return "wrong data";
		if (round % 3 == 0) {
			if (memcmp((char *)cpu + at, out, PART))
				return "wrong data in the mapping";
			if (gpumem_unmap(shared->buf))
				return trouble("unmap");
		}
	}
	return NULL;
}

static void many_threads_share_one_buffer(void **state)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct shared shared = { 0 };

	assert_int_equal(
		gpumem_alloc(unit_session, THREADS * PART, 0, &shared.buf), 0);
	assert_null(start_and_join(use_own_part, &shared, THREADS));
	assert_int_equal(gpumem_buf_get(shared.buf, &info), 0);
	assert_int_equal(info.maps, 0);
	assert_int_equal(gpumem_unpin(shared.buf), 0);
}

static void *use_until_gone(void *arg)
{
	struct shared *shared = arg;
	uint64_t at = atomic_fetch_add(&shared->place, 1) * PART;
	char bytes[PART] = { 0 };
	int rc;

	do {
		rc = gpumem_write(shared->buf, at, bytes, PART);
		if (!rc)
			rc = gpumem_read(shared->buf, at + 7, bytes, PART - 7);
		for (int i = 0; i < 100 && !rc; i++)
			rc = gpumem_write(shared->buf, at, bytes, 8);
	} while (!rc);
	return rc == -EBADF ? NULL : trouble("copy");
}

static void *write_words(void *arg)
{
	struct shared *shared = arg;
	uint64_t at = atomic_fetch_add(&shared->place, 1) * 64;

	for (uint64_t value = 1; !atomic_load(&shared->stop); value++) {
		uint64_t seen = 0;

		if (gpumem_write(shared->buf, at, &value, sizeof(value)))
			return trouble("write");
		if (gpumem_read(shared->buf, at, &seen, sizeof(seen)))
			return trouble("read");
		if (seen != value)
			return "wrong data";
	}
	return NULL;
}

/* Short copies use a mapping without counting: it must not go under them. */
static void short_copies_go_on_while_others_map_and_unmap(void **state)
{
	struct shared shared = { 0 };
	pthread_t threads[3];

	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &shared.buf), 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, write_words, &shared);
	for (int i = 0; i < 3000; i++) {
		unit_map(shared.buf);
		if (i % 64 == 0)
			sched_yield();
		assert_int_equal(gpumem_unmap(shared.buf), 0);
	}
	atomic_store(&shared.stop, true);
	for (int i = 0; i < 3; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_null(result);
	}
	assert_int_equal(gpumem_unpin(shared.buf), 0);
}

static void *end_buffer(void *arg)
{
	struct shared *shared = arg;

	for (volatile int i = 0; i < 100000; i++)
		;
	return gpumem_unpin(shared->buf) ? trouble("unpin") : NULL;
}

static void unpin_waits_for_copies_in_other_threads(void **state)
{
	for (int round = 0; round < 40; round++) {
		struct shared shared = { 0 };
		pthread_t user[3], ender;
		void *result;

		assert_int_equal(gpumem_alloc(unit_session, 3 * PART, 0,
					      &shared.buf),
				 0);
		/* Mapped or not makes a difference to short copies. */
		if (round % 2)
			unit_map(shared.buf);
		for (int i = 0; i < 3; i++)
			pthread_create(&user[i], NULL, use_until_gone, &shared);
		pthread_create(&ender, NULL, end_buffer, &shared);
		pthread_join(ender, &result);
		assert_null(result);
		for (int i = 0; i < 3; i++) {
			pthread_join(user[i], &result);
			assert_null(result);
		}
	}
}

struct closing {
	struct gpumem *session;
	atomic_int pinned;
};

static void *pin_until_closed(void *arg)
{
	struct closing *closing = arg;
	int rc;

	for (;;) {
		struct gpumem_buf *buf;
		void *cpu;

		rc = gpumem_alloc(closing->session, 3000, 0, &buf);
		if (rc)
			break;
		atomic_fetch_add(&closing->pinned, 1);
		rc = gpumem_map(buf, &cpu);
		if (rc)
			break;
		rc = gpumem_unpin(buf);
		if (rc)
			break;
	}
	return rc == -EBADF ? NULL : trouble("alloc, map or unpin");
}

static void close_races_with_every_other_call(void **state)
{
	for (int round = 0; round < 20; round++) {
		struct gpumem_options options = { .size = sizeof(options),
						  .backend = "sim" };
		struct closing closing = { 0 };
		pthread_t threads[4];

		assert_int_equal(gpumem_open(&options, &closing.session), 0);
		for (int i = 0; i < 4; i++)
			pthread_create(&threads[i], NULL, pin_until_closed,
				       &closing);
		while (atomic_load(&closing.pinned) < 20)
			;
		assert_int_equal(gpumem_close(closing.session), 0);
		for (int i = 0; i < 4; i++) {
			void *result;

			pthread_join(threads[i], &result);
			assert_null(result);
		}
	}
}

static void *own_error(void *arg)
{
	if (*gpumem_last_error())
		return "a new thread has an error";
	if (gpumem_unmap(NULL) != -EBADF)
		return "unmap";
	return strstr(gpumem_last_error(), "unmap") ? NULL : "not my error";
}

static void each_thread_has_its_own_last_error(void **state)
{
	assert_int_equal(gpumem_close(NULL), -EBADF);
	assert_null(start_and_join(own_error, NULL, 3));
	assert_non_null(strstr(gpumem_last_error(), "close"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_threads_pin_map_write_verify_and_unpin),
		cmocka_unit_test(many_threads_share_one_buffer),
		cmocka_unit_test(short_copies_go_on_while_others_map_and_unmap),
		cmocka_unit_test(unpin_waits_for_copies_in_other_threads),
		cmocka_unit_test(close_races_with_every_other_call),
		cmocka_unit_test(each_thread_has_its_own_last_error),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
