// SPDX-License-Identifier: MIT
/* How long pins and mappings live, and what ends them. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu.h"

#define LENGTH 100000
#define WHOLE (4u << 20)

/* Pinned three times, in turn and at once: each shows the same memory. */
static enum outcome check_pinned_again(uint64_t addr)
{
	struct gpumem_buf *first, *second;
	void *cpu, *cpu2;

	CHECK_OK(gpumem_pin(gpu.session, addr, LENGTH, 0, &first));
	CHECK_OK(gpumem_pin(gpu.session, addr, LENGTH, 0, &second));
	CHECK_OK(gpumem_map(first, &cpu));
	CHECK_OK(gpumem_map(second, &cpu2));
	pattern_store(cpu, LENGTH, 1);
	CHECK_PASSED(pattern_check(cpu2, LENGTH, 1));
	CHECK_OK(gpumem_unpin(first));
	CHECK_GIVES(-EBADF, gpumem_unpin(first));
	CHECK_PASSED(pattern_check(cpu2, LENGTH, 1));
	CHECK_OK(gpumem_unpin(second));

	CHECK_OK(gpumem_pin(gpu.session, addr, LENGTH, 0, &first));
	CHECK_OK(gpumem_map(first, &cpu));
	CHECK_PASSED(pattern_check(cpu, LENGTH, 1));
	pattern_store(cpu, LENGTH, 2);
	CHECK_PASSED(pattern_check_gpu(addr, LENGTH, 2));
	CHECK_OK(gpumem_unpin(first));
	return PASSED;
}

static enum outcome test_pinned_again(void)
{
	enum outcome outcome;
	uint64_t addr;

	CHECK_CUDA(gpu.cuda.mem_alloc(&addr, LENGTH));
	outcome = check_pinned_again(addr);
	CHECK_CUDA(gpu.cuda.mem_free(addr));
	return outcome;
}

/* gpumem_map() counts. */
static enum outcome test_map_counts(void)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem_buf *buf;
	void *cpu, *cpu2;

	CHECK_OK(gpumem_alloc(gpu.session, LENGTH, 0, &buf));
	CHECK_OK(gpumem_map(buf, &cpu));
	CHECK_OK(gpumem_map(buf, &cpu2));
	CHECK(cpu == cpu2);
	CHECK_OK(gpumem_buf_get(buf, &info));
	CHECK(info.maps == 2);
	CHECK_OK(gpumem_unmap(buf));
	pattern_store(cpu, LENGTH, 1);
	CHECK_OK(gpumem_unmap(buf));
	CHECK_GIVES(-EINVAL, gpumem_unmap(buf));
	CHECK_OK(gpumem_unpin(buf));
	return PASSED;
}

/* What a child process sees when it runs a function: its exit or signal. */
static int child_status(int (*function)(struct gpumem_buf *, char *),
			struct gpumem_buf *buf, char *cpu)
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		_exit(function(buf, cpu));
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return status;
}

/* The number of the first call that is not refused; 0: all were. */
static int child_calls(struct gpumem_buf *buf, char *cpu)
{
	struct gpumem_buf *other;
	char byte = 0;
	void *addr;

	if (gpumem_map(buf, &addr) != -EPERM)
		return 1;
	if (gpumem_write(buf, 0, &byte, 1) != -EPERM)
		return 2;
	if (gpumem_read(buf, 0, &byte, 1) != -EPERM)
		return 3;
	if (gpumem_pin(gpu.session, 0x10000, 1, 0, &other) != -EPERM)
		return 4;
	if (!gpumem_last_error()[0])
		return 5;
	if (gpumem_close(gpu.session))
		return 6;
	return 0;
}

static int child_touches(struct gpumem_buf *buf, char *cpu)
{
	*(volatile char *)cpu = 1;
	return 0;
}

static enum outcome test_fork(void)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem_buf *buf;
	void *cpu;
	int status;

	CHECK_OK(gpumem_alloc(gpu.session, LENGTH, 0, &buf));
	CHECK_OK(gpumem_map(buf, &cpu));
	CHECK_OK(gpumem_buf_get(buf, &info));
	pattern_store(cpu, LENGTH, 1);

	status = child_status(child_calls, buf, cpu);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return test_fail(__FILE__, __LINE__,
				 "child's call %d was not refused (status %x)",
				 WEXITSTATUS(status), status);
	status = child_status(child_touches, buf, cpu);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);

	CHECK_PASSED(pattern_check_gpu(info.addr, LENGTH, 1));
	pattern_store(cpu, LENGTH, 2);
	CHECK_PASSED(pattern_check_gpu(info.addr, LENGTH, 2));
	CHECK_OK(gpumem_unpin(buf));
	return PASSED;
}

static sigjmp_buf touch_failed;

static void touch_handler(int signal)
{
	siglongjmp(touch_failed, 1);
}

static bool touch_raises_sigbus(volatile char *cpu)
{
	struct sigaction action = { .sa_handler = touch_handler }, old;
	volatile bool raised = true;

	sigaction(SIGBUS, &action, &old);
	if (!sigsetjmp(touch_failed, 1)) {
		*cpu = 1;
		raised = false;
	}
	sigaction(SIGBUS, &old, NULL);
	return raised;
}

/*
 * cuMemFree() before gpumem_unpin(), as gpumem_map() describes it. Smaller
 * memory shares a block of CUDA's with other memory.
 */
static enum outcome test_freed_while_mapped(void)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem_buf *buf;
	uint64_t addr, other;
	char byte = 0;
	void *cpu;
	int status;

	CHECK_CUDA(gpu.cuda.mem_alloc(&addr, WHOLE));
	CHECK_OK(gpumem_pin(gpu.session, addr, WHOLE, 0, &buf));
	CHECK_OK(gpumem_map(buf, &cpu));
	pattern_store(cpu, WHOLE, 1);
	CHECK_CUDA(gpu.cuda.mem_free(addr));
	CHECK_OK(gpumem_buf_get(buf, &info));

	if (!strcmp(gpu.backend, "kmod")) {
		CHECK(info.flags & GPUMEM_BUF_REVOKED);
		CHECK_GIVES(-ENODEV, gpumem_write(buf, 0, &byte, 1));
		CHECK(touch_raises_sigbus(cpu));
		CHECK_OK(gpumem_unpin(buf));
		return PASSED;
	}
	CHECK_PASSED(pattern_check(cpu, WHOLE, 1));
	pattern_store(cpu, WHOLE, 2);
	CHECK_PASSED(pattern_check(cpu, WHOLE, 2));
	/* New memory is other memory, even where it gets the old address. */
	CHECK_CUDA(gpu.cuda.mem_alloc(&other, WHOLE));
	CHECK_PASSED(pattern_copy_to_gpu(other, WHOLE, 3));
	CHECK_PASSED(pattern_check(cpu, WHOLE, 2));
	pattern_store(cpu, WHOLE, 4);
	CHECK_PASSED(pattern_check_gpu(other, WHOLE, 3));
	CHECK_OK(gpumem_unpin(buf));
	CHECK_CUDA(gpu.cuda.mem_free(other));
	status = child_status(child_touches, buf, cpu);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	return PASSED;
}

/* gpumem_close() takes the buffers along. */
static enum outcome test_close(void)
{
	struct gpumem_options options = {
		.size = sizeof(options),
		.backend = gpu.backend,
	};
	struct gpumem_buf *buf;
	struct gpumem *session;
	void *cpu;
	int status;

	CHECK_OK(gpumem_open(&options, &session));
	CHECK_OK(gpumem_alloc(session, LENGTH, 0, &buf));
	CHECK_OK(gpumem_map(buf, &cpu));
	CHECK_OK(gpumem_close(session));
	CHECK_GIVES(-EBADF, gpumem_close(session));
	CHECK_GIVES(-EBADF, gpumem_map(buf, &cpu));
	status = child_status(child_touches, buf, cpu);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	return PASSED;
}

const struct test life_tests[] = {
	{ "one range pinned again and again", test_pinned_again },
	{ "map counts", test_map_counts },
	{ "freed by CUDA while mapped", test_freed_while_mapped },
	{ "close with a mapped buffer", test_close },
	{ "fork", test_fork },
	{ 0 },
};
