// SPDX-License-Identifier: MIT
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gdrapi_unit.h"

gdr_t gdr_unit;
int gdr_unit_number;

int gdr_unit_setup(void **state)
{
	if (unit_setup(state))
		return -1;
	gdr_unit = gdr_open();
	return gdr_unit ? 0 : -1;
}

int gdr_unit_teardown(void **state)
{
	assert_int_equal(gdr_close(gdr_unit), 0);
	return unit_teardown(state);
}

struct gdr_unit_memory gdr_unit_alloc(size_t bytes)
{
	struct gdr_unit_memory memory;

	memory.place = unit_alloc(bytes + GPU_PAGE_SIZE - 1);
	memory.addr = (memory.place + GPU_PAGE_OFFSET) & GPU_PAGE_MASK;
	return memory;
}

gdr_mh_t gdr_unit_pin(CUdeviceptr addr, size_t bytes)
{
	gdr_mh_t mh = { 0 };

	assert_int_equal(gdr_pin_buffer(gdr_unit, addr, bytes, 0, 0, &mh), 0);
	assert_int_not_equal(mh.h, 0);
	return mh;
}

void *gdr_unit_map(gdr_mh_t mh, size_t bytes)
{
	void *at = NULL;

	assert_int_equal(gdr_map(gdr_unit, mh, &at, bytes), 0);
	assert_non_null(at);
	return at;
}

int gdr_unit_child(int (*body)(void *), void *arg)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		gdr_unit_number = 0;
		_exit(body(arg));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

int gdr_unit_touch(const volatile void *at)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		/* The test's framework catches them. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		(void)*(const volatile char *)at;
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

bool gdr_unit_readable(const void *at, size_t bytes)
{
	int fds[2];
	bool readable;

	/* The kernel looks, and no signal comes. */
	assert_int_equal(pipe(fds), 0);
	readable = write(fds[1], at, bytes) == (ssize_t)bytes;
	close(fds[0]);
	close(fds[1]);
	return readable;
}
