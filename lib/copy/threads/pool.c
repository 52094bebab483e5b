// SPDX-License-Identifier: MIT
/*
 * A job is open to the workers from when its ticket is 0 until the ticket
 * passes its last piece. The ticket and the places carry the job's number, so
 * that a worker that was late, by however much, takes nothing of a job that it
 * does not know: it reads what the job is, and only then takes a piece of it by
 * an exchange that fails if the number has changed.
 *
 * Nobody waits for a worker that has not taken a piece. What the workers have
 * done is counted in `done`, and the caller waits until that is all that it did
 * not do itself.
 *
 * A worker that finds no job looks for one for 50 us, so that copies that
 * follow each other do not pay for waking it, and then sleeps until it is
 * woken, for a job or because one is coming. Where there are not enough CPUs it
 * sleeps at once.
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pause.h"
#include "cpu/cpu.h"
#include "base/error.h"
#include "copy/threads/pool.h"
#include "copy/threads/affinity.h"

#define GM_POOL_SPIN_NS 50000
/* Those that are woken before a job; they wake the others once it is there. */
#define GM_POOL_ROUSED 3
/*
 * Of each thread: the work is a copy, which needs little, and an application
 * may have locked all its memory. The program's thread-local data come out of
 * it too.
 */
#define GM_POOL_STACK ((size_t)1 << 20)

/* A job's number above, a count below. */
#define GM_POOL_TAG(number, count) ((uint64_t)(number) << 32 | (count))
#define GM_POOL_NUMBER(tag) ((uint32_t)((tag) >> 32))
#define GM_POOL_COUNT(tag) ((uint32_t)(tag))
/* A ticket that gives nothing. */
#define GM_POOL_CLOSED UINT32_MAX

/* What different threads wait for does not share a line. */
#define GM_POOL_LINE 64

struct gm_pool {
	_Atomic uint64_t ticket; /* next piece */
	_Atomic uint64_t places; /* workers that may still join */
	char after_ticket[GM_POOL_LINE - 2 * sizeof(uint64_t)];

	/* The number of the last job; the workers sleep on it. */
	_Atomic uint32_t number;
	_Atomic uint32_t asleep;
	char after_number[GM_POOL_LINE - 2 * sizeof(uint32_t)];

	/* Pieces done by workers; the caller sleeps on it. */
	_Atomic uint32_t done;
	_Atomic uint32_t waiting;
	char after_done[GM_POOL_LINE - 2 * sizeof(uint32_t)];

	/*
	 * The job. Written by the one who is busy, while the ticket is closed;
	 * atomic, as a late worker may read them at any time.
	 */
	_Atomic(gm_pool_work) work;
	_Atomic(void *) arg;
	atomic_size_t length;
	atomic_size_t piece;
	atomic_uint helpers;

	unsigned int cpus;
	unsigned int max;
	unsigned int started; /* busy */
	pthread_t threads[GM_POOL_MAX]; /* busy */
	struct gm_pool_set set;

	/* Taken by the caller whose job the workers help with. */
	atomic_flag busy;
	bool no_more; /* busy; a thread could not be started */
	atomic_bool stop;
};

static void gm_pool_sleep(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void gm_pool_wake(_Atomic uint32_t *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/*
 * Each of those at work wakes two more, so that nobody spends long on it.
 * place: 0 for the caller, then as the workers join.
 */
static void gm_pool_wake_next(struct gm_pool *pool, unsigned int place)
{
	unsigned int helpers = atomic_load(&pool->helpers);
	unsigned int next = 2 * place + 1;

	if (next <= helpers && atomic_load(&pool->asleep))
		gm_pool_wake(&pool->number, next < helpers ? 2 : 1);
}

static size_t gm_pool_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t gm_pool_pieces(size_t length, size_t piece)
{
	return length / piece + !!(length % piece);
}

/* Does pieces of a job until there are none. Returns how many. */
static uint32_t gm_pool_work_on(struct gm_pool *pool, uint32_t number,
				bool caller)
{
	uint64_t ticket = atomic_load(&pool->ticket);
	uint32_t count = 0;

	while (GM_POOL_NUMBER(ticket) == number &&
	       GM_POOL_COUNT(ticket) != GM_POOL_CLOSED) {
		gm_pool_work work = atomic_load(&pool->work);
		void *arg = atomic_load(&pool->arg);
		size_t length = atomic_load(&pool->length);
		size_t piece = atomic_load(&pool->piece);
		size_t index = GM_POOL_COUNT(ticket);

		if (index >= gm_pool_pieces(length, piece))
			break;
		/* Fails unless what was read is the open job's. */
		if (!atomic_compare_exchange_weak(&pool->ticket, &ticket,
						  ticket + 1))
			continue;
		work(arg, index * piece,
		     gm_pool_min(piece, length - index * piece));
		count++;
		if (!caller) {
			/*
			 * Stores past the caches too are to be seen by the one
			 * who sees the count.
			 */
			gm_cpu_fence();
			atomic_fetch_add(&pool->done, 1);
			if (atomic_load(&pool->waiting))
				gm_pool_wake(&pool->done, 1);
		}
		ticket = atomic_load(&pool->ticket);
	}
	return count;
}

static void gm_pool_join(struct gm_pool *pool, uint32_t number)
{
	uint64_t places = atomic_load(&pool->places);

	while (GM_POOL_NUMBER(places) == number && GM_POOL_COUNT(places)) {
		if (!atomic_compare_exchange_weak(&pool->places, &places,
						  places - 1))
			continue;
		gm_pool_wake_next(pool, atomic_load(&pool->helpers) -
						GM_POOL_COUNT(places) + 1);
		gm_pool_work_on(pool, number, false);
		return;
	}
}

/* Looks for a job after `seen` for a bounded time, each time that it is woken. */
static uint32_t gm_pool_next(struct gm_pool *pool, uint32_t seen)
{
	for (;;) {
		uint64_t end = gm_clock_ns() + GM_POOL_SPIN_NS;
		uint32_t number = atomic_load(&pool->number);

		while (number == seen &&
		       atomic_load(&pool->helpers) < pool->cpus &&
		       gm_clock_ns() < end) {
			for (int i = 0; i < 8; i++)
				gm_cpu_pause();
			number = atomic_load(&pool->number);
		}
		if (number != seen)
			return number;
		/* Counted before it looks again: it is woken, or it sees. */
		atomic_fetch_add(&pool->asleep, 1);
		gm_pool_sleep(&pool->number, seen);
		atomic_fetch_sub(&pool->asleep, 1);
	}
}

static void *gm_pool_thread(void *arg)
{
	struct gm_pool *pool = arg;
	uint32_t number = 0;

	pthread_setname_np(pthread_self(), "gpumem-copy");
	/* Where that is not allowed it runs where the caller does. */
	if (CPU_COUNT_S(sizeof(pool->set), pool->set.words))
		sched_setaffinity(0, sizeof(pool->set), pool->set.words);
	while (!atomic_load(&pool->stop)) {
		gm_pool_join(pool, number);
		number = gm_pool_next(pool, number);
	}
	return NULL;
}

/*
 * Signals are for the application's own threads. But what an instruction of a
 * copy itself causes comes to the thread that executes it, and where that is
 * blocked the kernel ends the process, whatever handler it has.
 */
static void gm_pool_signals(sigset_t *blocked)
{
	static const int own[] = { SIGSEGV, SIGBUS,  SIGFPE,
				   SIGILL,  SIGTRAP, SIGSYS };

	sigfillset(blocked);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(blocked, own[i]);
}

static void gm_pool_start(struct gm_pool *pool, unsigned int count)
{
	sigset_t blocked, old;
	pthread_attr_t attr;
	int error = 0;

	if (pool->started >= count || pool->no_more)
		return;
	if (pthread_attr_init(&attr))
		return;
	pthread_attr_setstacksize(&attr, GM_POOL_STACK);
	gm_pool_signals(&blocked);
	pthread_sigmask(SIG_SETMASK, &blocked, &old);
	while (pool->started < count && !error) {
		error = pthread_create(&pool->threads[pool->started], &attr,
				       gm_pool_thread, pool);
		if (!error)
			pool->started++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (error) {
		pool->no_more = true;
		gm_debug("pool: only %u of %u threads: %s", pool->started,
			 count, strerror(error));
	}
}

struct gm_pool *gm_pool_new(unsigned int max, int node)
{
	struct gm_pool *pool = NULL;

	if (posix_memalign((void **)&pool, GM_POOL_LINE, sizeof(*pool)))
		return NULL;
	memset(pool, 0, sizeof(*pool));
	pool->max = max < GM_POOL_MAX ? max : GM_POOL_MAX;
	pool->cpus = gm_pool_node_set(node, &pool->set);
	atomic_flag_clear(&pool->busy);
	atomic_store(&pool->ticket, GM_POOL_TAG(0, GM_POOL_CLOSED));
	return pool;
}

void gm_pool_free(struct gm_pool *pool)
{
	if (!pool)
		return;
	atomic_store(&pool->stop, true);
	atomic_fetch_add(&pool->number, 1);
	gm_pool_wake(&pool->number, INT_MAX);
	for (unsigned int i = 0; i < pool->started; i++)
		pthread_join(pool->threads[i], NULL);
	free(pool);
}

void gm_pool_drop(struct gm_pool *pool)
{
	free(pool);
}

static void gm_pool_alone(size_t length, size_t piece, gm_pool_work work,
			  void *arg)
{
	for (size_t first = 0; first < length; first += piece)
		work(arg, first, gm_pool_min(piece, length - first));
}

/* Opens a job; returns its number. */
static uint32_t gm_pool_open(struct gm_pool *pool, unsigned int helpers,
			     size_t length, size_t piece, gm_pool_work work,
			     void *arg)
{
	uint32_t number = atomic_load(&pool->number) + 1;

	atomic_store(&pool->ticket, GM_POOL_TAG(number, GM_POOL_CLOSED));
	atomic_store(&pool->work, work);
	atomic_store(&pool->arg, arg);
	atomic_store(&pool->length, length);
	atomic_store(&pool->piece, piece);
	atomic_store(&pool->helpers, helpers);
	atomic_store(&pool->done, 0);
	atomic_store(&pool->ticket, GM_POOL_TAG(number, 0));
	atomic_store(&pool->places, GM_POOL_TAG(number, helpers));
	atomic_store(&pool->number, number);
	return number;
}

void gm_pool_rouse(struct gm_pool *pool, unsigned int threads)
{
	if (threads > 1 && atomic_load(&pool->asleep))
		gm_pool_wake(&pool->number,
			     (int)gm_pool_min(threads - 1, GM_POOL_ROUSED));
}

/* Waits for the pieces that workers have taken. */
static void gm_pool_wait(struct gm_pool *pool, uint32_t pieces)
{
	uint64_t end = gm_clock_ns() + GM_POOL_SPIN_NS;
	uint32_t done = atomic_load(&pool->done);

	while (done != pieces && gm_clock_ns() < end) {
		for (int i = 0; i < 8; i++)
			gm_cpu_pause();
		done = atomic_load(&pool->done);
	}
	if (done == pieces)
		return;
	atomic_store(&pool->waiting, 1);
	done = atomic_load(&pool->done);
	while (done != pieces) {
		gm_pool_sleep(&pool->done, done);
		done = atomic_load(&pool->done);
	}
	atomic_store(&pool->waiting, 0);
}

void gm_pool_run(struct gm_pool *pool, unsigned int threads, size_t length,
		 size_t piece, gm_pool_work work, void *arg)
{
	size_t pieces = gm_pool_pieces(length, piece);
	unsigned int helpers;
	uint32_t number;

	if (threads > pool->max)
		threads = pool->max;
	threads = gm_pool_min(threads, pieces);
	if (threads < 2 || pieces >= GM_POOL_CLOSED ||
	    atomic_flag_test_and_set(&pool->busy)) {
		gm_pool_alone(length, piece, work, arg);
		return;
	}
	gm_pool_start(pool, threads - 1);
	helpers = gm_pool_min(threads - 1, pool->started);
	number = gm_pool_open(pool, helpers, length, piece, work, arg);
	gm_pool_wake_next(pool, 0);
	gm_pool_wait(pool, pieces - gm_pool_work_on(pool, number, true));
	atomic_flag_clear(&pool->busy);
}
