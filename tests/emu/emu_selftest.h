/* SPDX-License-Identifier: MIT */
/*
 * What the self-tests of the emulated GPU share. Each is one C file that
 * includes this one.
 */
#ifndef EMU_SELFTEST_H
#define EMU_SELFTEST_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpumem_emu.h"

#define PAGE ((uint64_t)GPUMEM_EMU_PAGE_SIZE)
#define HOST_PAGE ((uint64_t)sysconf(_SC_PAGESIZE))
#define MIB ((uint64_t)1 << 20)

/* Why the running test failed; empty: it passed. */
static char why[256];

/* Ends the test with the reason. */
#define CHECK(cond)                                                          \
	do {                                                                 \
		if (!(cond)) {                                               \
			snprintf(why, sizeof(why), "line %d: %s (errno %d)", \
				 __LINE__, #cond, errno);                    \
			return;                                              \
		}                                                            \
	} while (0)

/* A call must fail with this errno. */
#define CHECK_ERR(call, err) CHECK((errno = 0, (call) == -1 && errno == (err)))

static sigjmp_buf fault_jump;

static inline void on_fault(int sig)
{
	siglongjmp(fault_jump, sig);
}

/* The signal that reading a byte raises, or 0. */
static inline int touch(const volatile void *addr)
{
	struct sigaction action = { .sa_handler = on_fault };
	int sig;

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sig = sigsetjmp(fault_jump, 1);
	if (!sig)
		(void)*(const volatile uint8_t *)addr;
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	return sig;
}

static inline uint8_t pattern(uint64_t i, unsigned int seed)
{
	return (uint8_t)((i * 2654435761u + seed) >> 13);
}

static inline void fill(uint8_t *bytes, uint64_t length, unsigned int seed)
{
	for (uint64_t i = 0; i < length; i++)
		bytes[i] = pattern(i, seed);
}

static inline bool filled(const volatile uint8_t *bytes, uint64_t length,
			  unsigned int seed)
{
	for (uint64_t i = 0; i < length; i++)
		if (bytes[i] != pattern(i, seed))
			return false;
	return true;
}

/* Runs a function in a child; true if it returned true. */
static inline bool in_child(bool (*call)(void *), void *data)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(call(data) ? 0 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid &&
	       WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/*
 * Kills a child that takes step after step, after a while that depends on i; every
 * other one when it has taken a step, however slow the machine is.
 */
static inline bool kill_child(void (*step)(void), int i)
{
	int status, stepped[2];
	bool done = true;
	pid_t pid;
	char byte;

	if (pipe(stepped))
		return false;
	pid = fork();
	if (pid == 0) {
		step();
		if (write(stepped[1], "", 1) != 1)
			_exit(1);
		for (;;)
			step();
	}
	close(stepped[1]);
	if (i % 2)
		done = read(stepped[0], &byte, 1) == 1;
	close(stepped[0]);
	usleep(1000 + (unsigned int)i * 7919 % 23000);
	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && done && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

/* The CUDA side */

static inline int emu_open(void)
{
	return open(GPUMEM_EMU_NODE, O_RDWR | O_CLOEXEC);
}

static inline int emu_alloc(int fd, uint64_t length,
			    struct gpumem_emu_alloc *block)
{
	memset(block, 0, sizeof(*block));
	block->length = length;
	return ioctl(fd, GPUMEM_EMU_IOC_ALLOC, block);
}

static inline int emu_free(int fd, uint64_t addr)
{
	struct gpumem_emu_free arg = { .addr = addr };

	return ioctl(fd, GPUMEM_EMU_IOC_FREE, &arg);
}

static inline int emu_copy(int fd, uint64_t addr, void *user, uint64_t length,
			   uint32_t direction)
{
	struct gpumem_emu_copy arg = { .addr = addr,
				       .user = (uintptr_t)user,
				       .length = length,
				       .direction = direction };

	return ioctl(fd, GPUMEM_EMU_IOC_COPY, &arg);
}

static inline int emu_write(int fd, uint64_t addr, void *user, uint64_t length)
{
	return emu_copy(fd, addr, user, length, GPUMEM_EMU_FROM_USER);
}

static inline int emu_read(int fd, uint64_t addr, void *user, uint64_t length)
{
	return emu_copy(fd, addr, user, length, GPUMEM_EMU_TO_USER);
}

static inline int emu_pages(int fd, uint64_t addr, uint64_t count,
			    uint64_t *pages)
{
	struct gpumem_emu_pages arg = { .addr = addr,
					.count = count,
					.pages = (uintptr_t)pages };

	return ioctl(fd, GPUMEM_EMU_IOC_PAGES, &arg);
}

static inline int emu_hold(int fd, uint64_t addr, uint64_t length,
			   struct gpumem_emu_hold *hold)
{
	*hold = (struct gpumem_emu_hold){ .addr = addr, .length = length };
	return ioctl(fd, GPUMEM_EMU_IOC_HOLD, hold);
}

static inline int emu_drop(int fd, uint64_t id)
{
	struct gpumem_emu_drop arg = { .hold = id };

	return ioctl(fd, GPUMEM_EMU_IOC_DROP, &arg);
}

static inline struct gpumem_emu_counters counters(void)
{
	struct gpumem_emu_counters c = {};
	int fd = emu_open();

	ioctl(fd, GPUMEM_EMU_IOC_COUNTERS, &c);
	close(fd);
	return c;
}

/* Nothing is allocated, pinned or mapped. */
static inline bool at_rest(void)
{
	struct gpumem_emu_counters c = counters();

	return c.vram_bytes && c.free_pages == c.vram_bytes / PAGE &&
	       !c.blocks && !c.pins && !c.pinned_pages && !c.dma_maps &&
	       !c.holds && !c.rm_clients && !c.rm_objects && !c.rm_maps &&
	       !c.exports;
}

struct test {
	const char *name;
	void (*run)(void);
};

/* Runs the tests named on the command line, or all; the exit status. */
static inline int run_tests(const struct test *tests, int count, char **names)
{
	int passed = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < count; i++) {
		bool wanted = !*names;

		for (char **name = names; *name; name++)
			wanted |= !strcmp(*name, tests[i].name);
		if (!wanted)
			continue;
		why[0] = '\0';
		tests[i].run();
		if (!why[0] && !at_rest())
			snprintf(why, sizeof(why), "something is left: see %s",
				 GPUMEM_EMU_PROC);
		if (why[0]) {
			failed++;
			printf("not ok %s: %s\n", tests[i].name, why);
		} else {
			passed++;
			printf("ok %s\n", tests[i].name);
		}
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed || !passed;
}

#endif /* EMU_SELFTEST_H */
