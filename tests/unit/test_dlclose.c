// SPDX-License-Identifier: MIT
/* A program that loads the library at run time, and lets go of it again. */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <gpumem.h>

static struct {
	void *handle;
	int (*open)(const struct gpumem_options *options, struct gpumem **gpu);
	int (*close)(struct gpumem *gpu);
	int (*alloc)(struct gpumem *gpu, uint64_t length, unsigned int flags,
		     struct gpumem_buf **buf);
	int (*map)(struct gpumem_buf *buf, void **addr);
	int (*write)(struct gpumem_buf *buf, uint64_t offset, const void *src,
		     size_t length);
} library;

static void load_function(const char *name, void *function)
{
	*(void **)function = dlsym(library.handle, name);
	assert_non_null(*(void **)function);
}

static void load(void)
{
	library.handle = dlopen(getenv("TEST_LIBGPUMEM"), RTLD_NOW);
	assert_non_null(library.handle);
	load_function("gpumem_open", &library.open);
	load_function("gpumem_close", &library.close);
	load_function("gpumem_alloc", &library.alloc);
	load_function("gpumem_map", &library.map);
	load_function("gpumem_write", &library.write);
}

/* The session of all threads of a test. */
static struct gpumem *session;

static void *write_words(void *arg)
{
	struct gpumem_buf *buf;
	uint64_t word = 1;
	void *addr;

	if (library.alloc(session, 4096, 0, &buf) || library.map(buf, &addr))
		return "alloc or map";
	/* Short copies leave something behind that the thread's end removes. */
	for (int i = 0; i < 10; i++)
		if (library.write(buf, 0, &word, sizeof(word)))
			return "write";
	return NULL;
}

static void *write_and_close(void *arg)
{
	void *failed = NULL;

	if (library.open(NULL, &session))
		failed = "open";
	if (!failed)
		failed = write_words(NULL);
	if (!failed && library.close(session))
		failed = "close";
	dlclose(library.handle);
	return failed;
}

static void a_thread_ends_after_its_own_dlclose(void **state)
{
	pthread_t thread;
	void *failed;

	load();
	assert_int_equal(pthread_create(&thread, NULL, write_and_close, NULL),
			 0);
	pthread_join(thread, &failed);
	assert_null(failed);
}

struct waiting {
	sem_t wrote;
	sem_t closed;
};

static void *write_and_wait(void *arg)
{
	struct waiting *waiting = arg;
	void *failed = write_words(NULL);

	sem_post(&waiting->wrote);
	sem_wait(&waiting->closed);
	return failed;
}

static void a_thread_ends_after_the_dlclose_of_another(void **state)
{
	struct waiting waiting;
	pthread_t thread;
	void *failed;

	load();
	sem_init(&waiting.wrote, 0, 0);
	sem_init(&waiting.closed, 0, 0);
	assert_int_equal(library.open(NULL, &session), 0);
	assert_int_equal(
		pthread_create(&thread, NULL, write_and_wait, &waiting), 0);
	sem_wait(&waiting.wrote);
	assert_int_equal(library.close(session), 0);
	assert_int_equal(dlclose(library.handle), 0);
	sem_post(&waiting.closed);
	pthread_join(thread, &failed);
	assert_null(failed);
	sem_destroy(&waiting.wrote);
	sem_destroy(&waiting.closed);
}

static void what_was_closed_can_be_loaded_again(void **state)
{
	load();
	assert_null(write_and_close(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_ends_after_its_own_dlclose),
		cmocka_unit_test(a_thread_ends_after_the_dlclose_of_another),
		cmocka_unit_test(what_was_closed_can_be_loaded_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
