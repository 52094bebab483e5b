// SPDX-License-Identifier: MIT
/* Copies of host memory that the program makes accessible when it is used. */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit.h"

#define LENGTH (16 * MIB)

static char *area;
static size_t page;
static atomic_uint faults;

static void make_accessible(int signal, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr & ~(page - 1);

	if (at - (uintptr_t)area >= LENGTH)
		_exit(3);
	atomic_fetch_add(&faults, 1);
	mprotect((void *)at, page, PROT_READ | PROT_WRITE);
}

static void expect_copies(unsigned int threads, bool read)
{
	struct gpumem_copy_options options = { .size = sizeof(options),
					       .method = GPUMEM_COPY_THREADS,
					       .threads = threads };
	struct gpumem_buf *buf;
	char *cpu;

	assert_int_equal(gpumem_alloc(unit_session, LENGTH, 0, &buf), 0);
	cpu = unit_map(buf);
	area = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(area, MAP_FAILED);
	unit_fill(read ? cpu : area, LENGTH, threads);
	assert_int_equal(mprotect(area, LENGTH, PROT_NONE), 0);
	atomic_store(&faults, 0);
	assert_int_equal(read ? gpumem_read_with(buf, 0, area, LENGTH, &options)
			      : gpumem_write_with(buf, 0, area, LENGTH,
						  &options),
			 0);
	assert_true(faults >= LENGTH / page);
	assert_memory_equal(area, cpu, LENGTH);
	assert_int_equal(munmap(area, LENGTH), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
}

static void a_programs_handler_serves_every_thread(void **state)
{
	struct sigaction action = { .sa_sigaction = make_accessible,
				    .sa_flags = SA_SIGINFO };
	struct sigaction old;

	page = (size_t)sysconf(_SC_PAGESIZE);
	assert_int_equal(sigaction(SIGSEGV, &action, &old), 0);
	expect_copies(1, true);
	expect_copies(4, true);
	expect_copies(4, false);
	assert_int_equal(sigaction(SIGSEGV, &old, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_programs_handler_serves_every_thread),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
