/* SPDX-License-Identifier: MIT */
/* Host memory at which a copy stops until it is let go on. */
#ifndef GPUMEM_UNIT_HELD_H
#define GPUMEM_UNIT_HELD_H

#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>

#include "unit.h"

#define HELD_LENGTH 65536u /* whole pages everywhere */

static struct {
	char *memory; /* HELD_LENGTH bytes */
	sem_t reached; /* a thread has come to it */
	sem_t go;
	struct sigaction before;
} held;

/* The thread that comes first waits here, whatever it does. */
static inline void held_handler(int signal, siginfo_t *info, void *context)
{
	if ((uintptr_t)info->si_addr - (uintptr_t)held.memory >= HELD_LENGTH) {
		sigaction(signal, &held.before, NULL);
		return;
	}
	sem_post(&held.reached);
	while (sem_wait(&held.go))
		;
	mprotect(held.memory, HELD_LENGTH, PROT_READ | PROT_WRITE);
}

static inline void held_make(void)
{
	struct sigaction action = { .sa_sigaction = held_handler,
				    .sa_flags = SA_SIGINFO };

	held.memory = mmap(NULL, HELD_LENGTH, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(held.memory, MAP_FAILED);
	sem_init(&held.reached, 0, 0);
	sem_init(&held.go, 0, 0);
	assert_int_equal(sigaction(SIGSEGV, &action, &held.before), 0);
}

static inline void held_wait(void)
{
	while (sem_wait(&held.reached))
		;
}

static inline void held_go(void)
{
	sem_post(&held.go);
}

static inline void held_free(void)
{
	assert_int_equal(sigaction(SIGSEGV, &held.before, NULL), 0);
	sem_destroy(&held.reached);
	sem_destroy(&held.go);
	munmap(held.memory, HELD_LENGTH);
}

#endif /* GPUMEM_UNIT_HELD_H */
