// SPDX-License-Identifier: MIT
/*
 * Threads that are cancelled in a call. With a request pending the first
 * cancellation point ends a thread, so that a call in which there is one does
 * not return. The one at the beginning of calls is taken away for that.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include <gdrapi.h>

#include "held.h"
#include "unit.h"

static atomic_bool point_is_there;

/* In the place of the C library's. */
__attribute__((visibility("default"))) void pthread_testcancel(void)
{
	void (*real)(void);

	*(void **)&real = dlsym(RTLD_NEXT, "pthread_testcancel");
	if (atomic_load(&point_is_there))
		real();
}

static void end_if_cancelled(void)
{
	atomic_store(&point_is_there, true);
	pthread_testcancel();
}

/* Calls that returned, of the thread that is cancelled. */
static atomic_int returned;

static void call(int rc)
{
	if (!rc)
		atomic_fetch_add(&returned, 1);
}

/* The thread ends where it says that it may, and not before. */
static void expect_calls(void *(*body)(void *), int count)
{
	pthread_t thread;
	void *result;

	atomic_store(&returned, 0);
	atomic_store(&point_is_there, false);
	assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(returned, count);
}

static void *use_a_session(void *arg)
{
	struct gpumem_backend backend = { .size = sizeof(backend) };
	struct gpumem_buf *buf;
	struct gpumem *session;
	char bytes[8192] = { 0 };
	void *addr;

	pthread_cancel(pthread_self());
	call(gpumem_backend_get(0, &backend));
	call(gpumem_open(NULL, &session));
	call(gpumem_alloc(session, MIB, 0, &buf));
	call(gpumem_write(buf, 0, bytes, sizeof(bytes)));
	call(gpumem_map(buf, &addr));
	call(gpumem_read(buf, 0, bytes, sizeof(bytes)));
	call(gpumem_read(buf, 0, bytes, 8));
	call(gpumem_unmap(buf));
	call(gpumem_unpin(buf));
	call(gpumem_close(session));
	end_if_cancelled();
	return NULL;
}

static void calls_are_no_cancellation_points_inside(void **state)
{
	expect_calls(use_a_session, 10);
}

static void *fail_calls(void *arg)
{
	struct gpumem_buf *buf;

	pthread_cancel(pthread_self());
	call(gpumem_pin(unit_session, 4096, 1, 0, &buf) != -EINVAL);
	call(gpumem_unpin(NULL) != -EBADF);
	call(gpumem_close(NULL) != -EBADF);
	end_if_cancelled();
	return NULL;
}

static void nor_are_those_that_fail(void **state)
{
	expect_calls(fail_calls, 3);
}

static void *use_gdrapi(void *arg)
{
	struct gdr *gdr;
	CUdeviceptr place, addr;
	char bytes[64] = { 0 };
	gdr_mh_t handle;
	void *map;

	unit_use_context();
	if (unit_cuda.alloc(&place, 2 * GPU_PAGE_SIZE))
		return "alloc";
	addr = (place + GPU_PAGE_OFFSET) & GPU_PAGE_MASK;
	pthread_cancel(pthread_self());
	gdr = gdr_open();
	call(!gdr);
	call(gdr_pin_buffer(gdr, addr, GPU_PAGE_SIZE, 0, 0, &handle));
	call(gdr_map(gdr, handle, &map, GPU_PAGE_SIZE));
	call(gdr_copy_to_mapping(handle, map, bytes, sizeof(bytes)));
	call(gdr_copy_to_mapping(handle, bytes, bytes, 1) != EINVAL);
	call(gdr_unmap(gdr, handle, map, GPU_PAGE_SIZE));
	call(gdr_unpin_buffer(gdr, handle));
	call(gdr_close(gdr));
	call(unit_cuda.free(place));
	end_if_cancelled();
	return NULL;
}

static void nor_are_those_of_libgdrapi(void **state)
{
	expect_calls(use_gdrapi, 9);
}

static void *only_call(void *arg)
{
	struct gpumem_buf *buf;

	for (;;)
		if (!gpumem_alloc(unit_session, 4096, 0, &buf))
			gpumem_unpin(buf);
	return NULL;
}

/* Or a thread that does nothing else could never be ended. */
static void calls_are_cancellation_points_at_their_beginning(void **state)
{
	struct gpumem *session = unit_session;
	pthread_t thread;
	void *result;

	assert_int_equal(gpumem_open(NULL, &unit_session), 0);
	atomic_store(&point_is_there, true);
	assert_int_equal(pthread_create(&thread, NULL, only_call, NULL), 0);
	assert_int_equal(pthread_cancel(thread), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(gpumem_close(unit_session), 0);
	unit_session = session;
}

static struct gpumem_buf *waited_for;

static void *copy_held(void *arg)
{
	struct gpumem_copy_options options = { .size = sizeof(options),
					       .method = GPUMEM_COPY_CPU };

	return gpumem_write_with(waited_for, 0, held.memory, 4096, &options)
		       ? "write"
		       : NULL;
}

static void *unpin(void *arg)
{
	call(gpumem_unpin(waited_for));
	end_if_cancelled();
	return NULL;
}

/* It waits for a call of another thread, and takes the table's lock after. */
static void unpin_is_cancelled_while_it_waits(void **state)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	pthread_t copier, unpinner;
	struct gpumem_buf *other;
	void *result;

	held_make();
	atomic_store(&returned, 0);
	atomic_store(&point_is_there, false);
	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &waited_for), 0);
	assert_int_equal(pthread_create(&copier, NULL, copy_held, NULL), 0);
	held_wait();
	assert_int_equal(pthread_create(&unpinner, NULL, unpin, NULL), 0);
	while (!gpumem_buf_get(waited_for, &info))
		sched_yield();
	assert_int_equal(pthread_cancel(unpinner), 0);
	/* So that it is on its way out, if it goes that way. */
	usleep(100000);
	/* Would wait for ever for a lock that nobody gives back. */
	alarm(60);
	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &other), 0);
	assert_int_equal(gpumem_unpin(other), 0);
	assert_int_equal(returned, 0);
	held_go();
	assert_int_equal(pthread_join(copier, &result), 0);
	assert_null(result);
	assert_int_equal(pthread_join(unpinner, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(returned, 1);
	alarm(0);
	held_free();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_are_no_cancellation_points_inside),
		cmocka_unit_test(nor_are_those_that_fail),
		cmocka_unit_test(nor_are_those_of_libgdrapi),
		cmocka_unit_test(
			calls_are_cancellation_points_at_their_beginning),
		cmocka_unit_test(unpin_is_cancelled_while_it_waits),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
