// SPDX-License-Identifier: MIT
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/pause.h"
#include "base/error.h"
#include "base/hazptr.h"

/* Longer than a CPU keeps a store to itself, by far. */
#define GM_GUARD_DRAIN_NS 1000000

/*
 * A short copy ends within that many looks, unless its thread lost the CPU. To
 * sleep lets it have one that a thread of higher priority waits on.
 */
#define GM_GUARD_LOOKS 1000
#define GM_GUARD_SLEEP_NS 50000

_Thread_local struct gm_guard *gm_guard_mine
	__attribute__((tls_model("initial-exec")));

static struct gm_guard *_Atomic gm_guards; /* never freed, but used again */
static pthread_once_t gm_guard_once = PTHREAD_ONCE_INIT;
static pthread_key_t gm_guard_key;
static bool gm_guard_on; /* this kernel has the barrier */

static int gm_membarrier(int command)
{
	return (int)syscall(SYS_membarrier, command, 0, 0);
}

/* The thread ends. */
static void gm_guard_give(void *arg)
{
	struct gm_guard *guard = arg;

	gm_guard_mine = NULL;
	/* It may have ended in a signal handler in the middle of a copy. */
	atomic_store_explicit(&guard->handle, NULL, memory_order_release);
	atomic_store_explicit(&guard->taken, false, memory_order_release);
}

static void gm_guard_start(void)
{
	gm_guard_on =
		!gm_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
		!pthread_key_create(&gm_guard_key, gm_guard_give);
	gm_debug("open: uses of a moment are %s",
		 gm_guard_on ? "ended through membarrier()"
			     : "counted: no membarrier() here");
}

bool gm_guard_setup(void)
{
	pthread_once(&gm_guard_once, gm_guard_start);
	return gm_guard_on;
}

static struct gm_guard *gm_guard_find(void)
{
	struct gm_guard *guard;

	for (guard = atomic_load(&gm_guards); guard; guard = guard->next) {
		bool taken = false;

		if (atomic_compare_exchange_strong(&guard->taken, &taken, true))
			return guard;
	}
	return NULL;
}

static struct gm_guard *gm_guard_new(void)
{
	void *memory;
	struct gm_guard *guard;

	if (posix_memalign(&memory, sizeof(*guard), sizeof(*guard)))
		return NULL;
	guard = memset(memory, 0, sizeof(*guard));
	atomic_init(&guard->taken, true);
	guard->next = atomic_load(&gm_guards);
	while (!atomic_compare_exchange_weak(&gm_guards, &guard->next, guard))
		;
	return guard;
}

void gm_guard_make(void)
{
	struct gm_guard *guard;

	if (gm_guard_mine || !gm_guard_setup())
		return;
	guard = gm_guard_find();
	if (!guard)
		guard = gm_guard_new();
	if (!guard)
		return;
	if (pthread_setspecific(gm_guard_key, guard))
		atomic_store(&guard->taken, false);
	else
		gm_guard_mine = guard;
}

static void gm_guard_wait_one(const struct gm_guard *guard, const void *handle)
{
	const struct timespec sleep = { .tv_nsec = GM_GUARD_SLEEP_NS };
	unsigned int looks = 0;

	while (atomic_load_explicit(&guard->handle, memory_order_acquire) ==
	       handle) {
		if (++looks < GM_GUARD_LOOKS)
			gm_cpu_pause();
		else
			nanosleep(&sleep, NULL);
	}
}

void gm_guard_wait(const void *handle)
{
	const struct timespec drain = { .tv_nsec = GM_GUARD_DRAIN_NS };
	struct gm_guard *guard;

	/*
	 * Fails only where a filter of system calls that was put in place since
	 * forbids it. Then time does what the barrier would have done.
	 */
	if (gm_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		nanosleep(&drain, NULL);
	/* This thread is in no copy, unless a signal handler jumped out of one. */
	for (guard = atomic_load(&gm_guards); guard; guard = guard->next)
		if (guard != gm_guard_mine)
			gm_guard_wait_one(guard, handle);
}
