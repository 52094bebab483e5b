// SPDX-License-Identifier: MIT
/*
 * The locks of the library, counted: a thread lets go of what it holds and of
 * nothing else, and holds none when a call has returned.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "unit.h"

#define BYTES (2 * MIB)
#define HELD 64

/* The linker puts these in the places of the C library's. */
int __wrap_pthread_mutex_lock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *lock);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock);
int __real_pthread_mutex_lock(pthread_mutex_t *lock);
int __real_pthread_mutex_trylock(pthread_mutex_t *lock);
int __real_pthread_mutex_unlock(pthread_mutex_t *lock);

static _Thread_local pthread_mutex_t *held[HELD];
static atomic_uint taken, mistakes;
static unsigned char bytes[BYTES];

static void replace(pthread_mutex_t *old, pthread_mutex_t *new)
{
	for (int i = 0; i < HELD; i++) {
		if (held[i] == old) {
			held[i] = new;
			return;
		}
	}
	mistakes++;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *lock)
{
	int rc = __real_pthread_mutex_lock(lock);

	taken++;
	replace(NULL, lock);
	return rc;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *lock)
{
	int rc = __real_pthread_mutex_trylock(lock);

	if (!rc)
		replace(NULL, lock);
	return rc;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *lock)
{
	replace(lock, NULL);
	return __real_pthread_mutex_unlock(lock);
}

static void expect_none_held(const char *call)
{
	for (int i = 0; i < HELD; i++)
		if (held[i] || mistakes)
			fail_msg("%s: %s", call,
				 mistakes ? "let go of a lock it did not hold"
					  : "keeps a lock");
}

#define CALL(call)                                                      \
	do {                                                            \
		if (call)                                               \
			fail_msg("%s: %s", #call, gpumem_last_error()); \
		expect_none_held(#call);                                \
	} while (0)

static void use_session(struct gpumem *session)
{
	struct gpumem_copy_settings settings = { .size = sizeof(settings) };
	struct gpumem_device device = { .size = sizeof(device) };
	struct gpumem_stats stats = { .size = sizeof(stats) };
	struct gpumem_plan_step steps[64];
	size_t count = 64;
	int devices;

	CALL(gpumem_device_count(session, &devices));
	CALL(gpumem_device_get(session, 0, &device));
	CALL(gpumem_stats_get(session, &stats));
	CALL(gpumem_copy_settings_get(session, &settings));
	CALL(gpumem_copy_settings_set(session, &settings));
	CALL(gpumem_copy_prepare(session));
	CALL(gpumem_plan_get(session, steps, &count));
	CALL(gpumem_plan_set(session, NULL, 0, 0));
}

static void copy(struct gpumem_buf *buf)
{
	for (unsigned int method = GPUMEM_COPY_AUTO;
	     method <= GPUMEM_COPY_ENGINE; method++) {
		const struct gpumem_copy_options options = {
			.size = sizeof(options), .method = method
		};

		if (method != GPUMEM_COPY_COURIER)
			CALL(gpumem_write_with(buf, 0, bytes, BYTES, &options));
		CALL(gpumem_read_with(buf, 0, bytes, BYTES, &options));
	}
	CALL(gpumem_write(buf, 0, bytes, 100));
	CALL(gpumem_read(buf, 0, bytes, 100));
	CALL(gpumem_read(buf, 0, bytes, 20000));
}

static void use_buffer(struct gpumem_buf *buf)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem_rect rect = { 0, 100, 77, 60, 1000 };
	struct gpumem_piece piece = { 0, bytes, 100 };
	uint64_t pages[4];
	size_t count = 4;

	CALL(gpumem_buf_get(buf, &info));
	CALL(gpumem_pages(buf, 0, pages, &count));
	copy(buf);
	CALL(gpumem_writev(buf, &piece, 1));
	CALL(gpumem_readv(buf, &piece, 1));
	CALL(gpumem_write_2d(buf, &rect, bytes));
	CALL(gpumem_read_2d(buf, &rect, bytes));
	CALL(gpumem_publish(buf, 64, bytes, 100, 0, 7));
	CALL(gpumem_consume(buf, 0, 7, 0, 64, bytes, 100));
	CALL(gpumem_doorbell(buf, 0, 1, 4));
}

static void every_call_lets_go_of_its_locks(void **state)
{
	struct gpumem *session;
	struct gpumem_buf *buf, *left;
	CUdeviceptr addr;
	void *cpu;

	CALL(gpumem_open(NULL, &session));
	use_session(session);
	addr = unit_alloc(BYTES);
	CALL(gpumem_pin(session, addr, BYTES, 0, &buf));
	use_buffer(buf);
	CALL(gpumem_map(buf, &cpu));
	use_buffer(buf);
	CALL(gpumem_unmap(buf));
	CALL(gpumem_unpin(buf));
	unit_free(addr);
	CALL(gpumem_alloc(session, BYTES, 0, &buf));
	CALL(gpumem_alloc(session, BYTES, 0, &left));
	use_buffer(buf);
	CALL(gpumem_unpin(buf));
	CALL(gpumem_close(session));
	/* They were counted at all. */
	assert_true(taken > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_lets_go_of_its_locks),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
