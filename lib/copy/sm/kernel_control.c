// SPDX-License-Identifier: MIT
/*
 * The courier's kernel as the host sees it: starting it, ringing for it,
 * waiting for what it does.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "copy/sm/private.h"
#include "cpu/cpu.h"
#include "base/error.h"
#include "base/pause.h"

/*
 * Between two kernels, where the first was ended by its age; long enough for a
 * thread that waits to be woken. The queries that follow take 5 us.
 */
#define GM_COURIER_GAP_NS (55 * GM_US)
#define GM_COURIER_RECENT_NS (200 * GM_US)
#define GM_COURIER_QUERIES 3
/* CUDA's look at a stream takes so long at least. */
#define GM_COURIER_LOOK_LEAST_NS 400u

/*
 * A kernel that was told of more waits so long for it: the host may be stopped in
 * the middle of a call.
 */
#define GM_COURIER_HOLD_NS (100 * GM_MS)

/* Looks at a flag between two looks at the clock. */
#define GM_COURIER_SPINS 64u
/* Then others may need the CPU more. */
#define GM_COURIER_YIELD_NS (30 * GM_US)
#define GM_COURIER_LOOK_NS (1 * GM_MS)

static uint64_t gm_courier_word(const struct gm_courier_word *word)
{
	return __atomic_load_n(&word->value, __ATOMIC_ACQUIRE);
}

struct gm_courier_sign gm_courier_chunk_sign(const struct gm_courier *courier,
					     uint64_t number, size_t chunk)
{
	const unsigned int slot = number % GM_COURIER_SLOTS;

	return (struct gm_courier_sign){
		.word = &courier->flags->done[slot][chunk].value,
		.mask = UINT64_MAX,
		.value = number,
	};
}

static const struct gm_courier_word *
gm_courier_lines(const struct gm_courier *courier, uint64_t number)
{
	const unsigned int slot = number % GM_COURIER_SLOTS;

	return (const struct gm_courier_word *)(courier->tagged +
						slot * GM_COURIER_TAGGED_ROOM);
}

struct gm_courier_sign gm_courier_line_sign(const struct gm_courier *courier,
					    uint64_t number, size_t line)
{
	return (struct gm_courier_sign){
		.word = &gm_courier_lines(courier, number)[line].rest[6],
		.mask = UINT64_MAX << (64 - GM_COURIER_TAG_BITS),
		.value = number << (64 - GM_COURIER_TAG_BITS),
	};
}

/* Whether a job has begun to come. */
static bool gm_courier_has(const struct gm_courier *courier, uint64_t number)
{
	const uint32_t how = courier->jobs[number % GM_COURIER_SLOTS].how;
	size_t lines = 0;

	if (how & GM_COURIER_WAVES)
		lines = GM_COURIER_TAGGED_COUNT(how) * GM_COURIER_GROUP_LINES;
	if (lines > GM_COURIER_LINES)
		lines = GM_COURIER_LINES;
	return gm_courier_seen(
		lines ? gm_courier_line_sign(courier, number, lines - 1)
		      : gm_courier_chunk_sign(courier, number, 0));
}

bool gm_courier_retired(const struct gm_courier *courier)
{
	return gm_courier_word(&courier->flags->retired) == courier->start;
}

static bool gm_courier_began(const struct gm_courier *courier)
{
	return gm_courier_word(&courier->flags->started) == courier->start;
}

static void gm_courier_store_job(struct gm_courier *courier, uint64_t number)
{
	const unsigned int slot = number % GM_COURIER_SLOTS;

	gm_cpu()->store32(&courier->bell->slot[slot].job, &courier->jobs[slot]);
}

void gm_courier_ring(struct gm_courier *courier, uint64_t number)
{
	uint64_t word;

	if (courier->unordered) {
		/* What comes back over the bus pushes stores ahead of it. */
		gm_cpu_load_fence();
		gm_cpu()->load(&word, &courier->bell->rest, sizeof(word));
	}
	gm_courier_store_job(courier, number);
	gm_cpu_fence();
}

/* The last one ended by its age, a short while ago. */
static bool gm_courier_aged(const struct gm_courier *courier)
{
	const uint64_t life = courier->limits.life_us * GM_US;

	return courier->start &&
	       gm_courier_word(&courier->flags->aged) == courier->start &&
	       gm_clock_ns() - courier->start_time <
		       life + GM_COURIER_RECENT_NS;
}

static int gm_courier_query(const struct gm_courier *courier, CUresult *result)
{
	const struct gm_cuda *cuda = &courier->session->cuda;
	struct gm_cuda_scope scope;
	int rc;

	rc = gm_cuda_enter(&scope, cuda, courier->session->context);
	if (rc)
		return rc;
	*result = cuda->stream_query(courier->stream);
	gm_cuda_leave(&scope);
	return 0;
}

/*
 * The shortest of some queries, as another thread may hold CUDA's lock at one; 0
 * where one of them does not say what is expected.
 */
static uint64_t gm_courier_time_query(const struct gm_courier *courier,
				      CUresult expected)
{
	const struct gm_cuda *cuda = &courier->session->cuda;
	uint64_t start, took, least = UINT64_MAX;
	struct gm_cuda_scope scope;

	if (gm_cuda_enter(&scope, cuda, courier->session->context))
		return 0;
	for (int i = 0; i < GM_COURIER_QUERIES && least; i++) {
		start = gm_clock_ns();
		if (cuda->stream_query(courier->stream) != expected)
			least = 0;
		took = gm_clock_ns() - start;
		if (took < least)
			least = took;
	}
	gm_cuda_leave(&scope);
	return least;
}

/* Times of a simulated GPU say nothing. */
bool gm_courier_may_time(const struct gm_courier *courier, uint64_t now)
{
	return courier->timed != courier->start && now > courier->start_time &&
	       now - courier->start_time >=
		       courier->limits.life_us * GM_US / 2 &&
	       !courier->session->cuda.simulated;
}

void gm_courier_time_running(struct gm_courier *courier)
{
	courier->timed = courier->start;
	courier->known_ns =
		gm_courier_time_query(courier, CUDA_ERROR_NOT_READY);
}

/*
 * Whether a thread has waited for the stream's end, by cuMemFree() or a synchronize
 * of the context: CUDA knows then that it is idle, and tells it as quickly as it told
 * of the kernel that was running (0.2 to 0.5 us); else it looks (1.3 to 2.1 us; H200,
 * 580.159.04).
 */
static bool gm_courier_was_awaited(const struct gm_courier *courier)
{
	uint64_t took;

	if (courier->timed != courier->start || !courier->known_ns)
		return false;
	took = gm_courier_time_query(courier, CUDA_SUCCESS);
	/* What a tracer adds to each call makes no look of it. */
	return took && took < 2 * courier->known_ns &&
	       took < courier->known_ns + GM_COURIER_LOOK_LEAST_NS;
}

void gm_courier_pause(struct gm_courier *courier, uint64_t gap_ns, bool in_row)
{
	bool awaited;

	if (courier->paused == courier->start || !gm_courier_aged(courier))
		return;
	courier->paused = courier->start;
	/* Where nobody read meanwhile they had their turn. */
	if (gap_ns >= GM_COURIER_GAP_NS)
		return;
	gm_clock_spin(GM_COURIER_GAP_NS);
	if (!in_row)
		return;
	awaited = gm_courier_was_awaited(courier);
	gm_sm_launch_pause(&courier->launch, awaited, gm_clock_ns());
	if (awaited && gm_sm_launch_rests(&courier->launch, gm_clock_ns()))
		gm_debug(
			"courier: another thread waits for it again and again: "
			"none is started for %llu ms",
			(unsigned long long)(courier->launch.rest_ns / GM_MS));
}

void gm_courier_set_empty(struct gm_courier *courier, uint64_t number,
			  uint32_t how)
{
	courier->jobs[number % GM_COURIER_SLOTS] = (struct gm_courier_job){
		.number = (uint32_t)number,
		.how = how,
		.number_again = (uint32_t)number,
	};
	courier->more = how & GM_COURIER_MORE;
}

bool gm_courier_alive(const struct gm_courier *courier)
{
	const struct gm_courier_watch *watch = courier->watch;

	return !watch || watch->alive(watch->arg);
}

/*
 * The host takes out of the staging memory more slowly than the GPU brings it
 * there, and asks for no more meanwhile: so much longer does a kernel wait that
 * is started for a read of so many bytes.
 */
static uint64_t gm_courier_idle_ns(const struct gm_courier *courier,
				   const struct gm_courier_job *job)
{
	const uint64_t idle_ns = courier->limits.idle_us * GM_US;

	return (courier->wait_ns > idle_ns ? courier->wait_ns : idle_ns) +
	       (job->how & GM_COURIER_WHOLE ? job->length / 32 : 0);
}

/*
 * Whether launches wait for the kernel's end: it waits for its first job much
 * longer than a launch takes, and one delay may be the host's. A simulated GPU's
 * are never so.
 */
static bool gm_courier_is_blocked(struct gm_courier *courier)
{
	if (courier->session->cuda.simulated || !gm_courier_retired(courier))
		courier->blocked = 0;
	else
		courier->blocked++;
	return courier->blocked > 1;
}

/*
 * No kernel looks at the bell now. The kernel is started without a job: while it
 * runs cuMemFree() waits for it, so that the memory which is there when it is
 * rung for stays there.
 */
int gm_courier_launch(struct gm_courier *courier, uint64_t number)
{
	const struct gm_cuda *cuda = &courier->session->cuda;
	/* No job: its numbers differ, also where a number is 0 again. */
	const struct gm_courier_job silent = { .number_again = 1 };
	const struct gm_courier_job *job =
		&courier->jobs[number % GM_COURIER_SLOTS];
	struct gm_courier_start start = {
		.job = { .how = GM_COURIER_MORE },
		.number = number - 1,
		.start = courier->start + 1,
		.bell = courier->bell_gpu,
		.flags = courier->memory_gpu +
			 (uint64_t)((char *)courier->flags - courier->memory),
		.idle_ns = gm_courier_idle_ns(courier, job),
		.life_ns = courier->limits.life_us * GM_US,
		.hold_ns = GM_COURIER_HOLD_NS,
		.tagged = courier->memory_gpu +
			  (uint64_t)(courier->tagged - courier->memory),
	};
	void *parameters[] = { &start };
	struct gm_cuda_scope scope;
	CUresult result;
	int rc;

	gm_courier_pause(courier, 0, false);
	if (!gm_courier_alive(courier)) {
		courier->more = false;
		return -ESTALE;
	}
	/* Old numbers would come round again after 2^32 jobs. */
	for (unsigned int i = 0; i < GM_COURIER_SLOTS; i++)
		gm_cpu()->store32(&courier->bell->slot[i].job, &silent);
	gm_cpu_fence();
	rc = gm_cuda_enter(&scope, cuda, courier->session->context);
	if (rc)
		return courier->dead = rc;
	result = cuda->launch(courier->function, 1, 1, 1, courier->threads, 1,
			      1, 0, courier->stream, parameters, NULL);
	gm_cuda_leave(&scope);
	if (result)
		return courier->dead = gm_cuda_error(
			       cuda, result, "courier: start its kernel",
			       "look for an earlier CUDA error");
	courier->start++;
	courier->start_time = courier->look_time = gm_clock_ns();
	courier->first = number;
	if (courier->always)
		courier->judged = courier->start;
	if (gm_courier_is_blocked(courier))
		return courier->dead = gm_error(
			       -EOPNOTSUPP,
			       "courier: launches of this process wait for "
			       "their kernels' ends, as with "
			       "CUDA_LAUNCH_BLOCKING or in a debugger; set "
			       "GPUMEM_COURIER=0");
	if (!gm_courier_alive(courier)) {
		rc = -ESTALE;
		for (uint64_t n = number; n <= courier->number; n++)
			gm_courier_set_empty(courier, n, 0);
		courier->empty = courier->number;
	}
	for (uint64_t n = number; n <= courier->number; n++)
		gm_courier_store_job(courier, n);
	gm_cpu_fence();
	return rc;
}

void gm_courier_unhold(struct gm_courier *courier)
{
	if (--courier->holds || !courier->more || !gm_courier_runs(courier))
		return;
	gm_courier_set_empty(courier, ++courier->number, 0);
	gm_courier_ring(courier, courier->number);
	courier->empty = courier->number;
}

int gm_courier_busy(void)
{
	return gm_error(-EBUSY, "courier: the GPU does not begin its kernel, "
				"others keep it busy; copy another way, or try "
				"later");
}

/*
 * Takes back a start that has not begun. It may begin at the same moment: then
 * it goes on, and both sides know, see gm_courier_flags.started.
 */
static int gm_courier_give_up(struct gm_courier *courier)
{
	const uint64_t line[4] = { courier->start };
	uint64_t seen;

	gm_cpu()->store32(&courier->bell->cancelled, line);
	gm_cpu_fence();
	gm_cpu_load_fence();
	gm_cpu()->load(&seen, &courier->bell->cancelled, sizeof(seen));
	gm_cpu_load_fence();
	if (gm_courier_began(courier))
		return 0;
	courier->given_up = true;
	return gm_courier_busy();
}

/* Asks CUDA, which knows more than the flags where something went wrong. */
static int gm_courier_look(struct gm_courier *courier)
{
	CUresult result;
	int rc;

	rc = gm_courier_query(courier, &result);
	if (rc)
		return courier->dead = rc;
	if (result == CUDA_ERROR_NOT_READY)
		return 0;
	if (result)
		return courier->dead = gm_cuda_error(
			       &courier->session->cuda, result,
			       "courier: its kernel was ended",
			       "look for memory that was freed during a copy");
	if (gm_courier_retired(courier))
		return 0;
	return courier->dead = gm_error(
		       -EIO, "courier: its kernel ended without a word; the "
			     "GPU cannot write this host memory: switch the "
			     "courier off");
}

int gm_courier_late(struct gm_courier *courier)
{
	int rc = gm_courier_look(courier);

	if (rc)
		return rc;
	return courier->dead = gm_error(
		       -ETIMEDOUT,
		       "courier: the GPU did not answer for %llu ms; see "
		       "nvidia-smi and dmesg",
		       (unsigned long long)(courier->patience_ns / GM_MS));
}

/* What there is to do while a job has not begun to come, since some time. */
static int gm_courier_mind(struct gm_courier *courier, uint64_t number,
			   uint64_t since)
{
	const uint64_t now = gm_clock_ns();

	if (gm_courier_retired(courier)) {
		if (gm_courier_has(courier, number))
			return 0;
		/* It ended in this read. */
		gm_courier_pause(courier, 0, true);
		return gm_courier_launch(courier, number);
	}
	if (!gm_courier_began(courier) &&
	    now - courier->start_time > courier->busy_ns)
		return gm_courier_give_up(courier);
	if (now - since > courier->patience_ns)
		return gm_courier_late(courier);
	if (now - since > GM_COURIER_YIELD_NS)
		sched_yield();
	if (now - courier->look_time < GM_COURIER_LOOK_NS)
		return 0;
	courier->look_time = now;
	return gm_courier_look(courier);
}

int gm_courier_wait(struct gm_courier *courier, uint64_t number)
{
	uint64_t since = 0;
	int rc = 0;

	for (unsigned int i = 1; !rc && !gm_courier_has(courier, number); i++) {
		gm_cpu_pause();
		if (i % GM_COURIER_SPINS)
			continue;
		if (!since)
			since = gm_clock_ns();
		rc = gm_courier_mind(courier, number, since);
	}
	return rc;
}

/* Whether it will not come any more, after some time without it. */
static bool gm_courier_lost(const struct gm_courier *courier, uint64_t waited)
{
	CUresult result;

	if (waited > GM_COURIER_YIELD_NS)
		sched_yield();
	if (waited < GM_COURIER_LOOK_NS)
		return false;
	return waited > courier->patience_ns ||
	       gm_courier_query(courier, &result) ||
	       result != CUDA_ERROR_NOT_READY;
}

/* A wait: looks so far, and when it began, where that was asked. */
struct gm_courier_wait {
	unsigned int looks;
	uint64_t since;
};

/* Between two looks. False: a last one, then it is not to be waited for. */
static bool gm_courier_hope(const struct gm_courier *courier,
			    struct gm_courier_wait *wait)
{
	uint64_t now;

	gm_cpu_pause();
	if (++wait->looks % GM_COURIER_SPINS)
		return true;
	now = gm_clock_ns();
	if (!wait->since)
		wait->since = now;
	return !gm_courier_lost(courier, now - wait->since);
}

bool gm_courier_wait_sign(const struct gm_courier *courier,
			  struct gm_courier_sign sign)
{
	struct gm_courier_wait wait = { 0 };
	bool hope = true;

	while (!gm_courier_seen(sign)) {
		if (!hope)
			return false;
		hope = gm_courier_hope(courier, &wait);
	}
	return true;
}

void gm_courier_settle(struct gm_courier *courier)
{
	if (courier->empty && gm_courier_runs(courier))
		gm_courier_wait_sign(courier,
				     gm_courier_chunk_sign(courier,
							   courier->empty, 0));
	courier->empty = 0;
}

size_t gm_courier_untag(const struct gm_courier *courier, uint64_t number,
			char *to, size_t first, size_t count)
{
	const struct gm_courier_word *lines =
		gm_courier_lines(courier, number) + first;
	const struct gm_courier_sign last =
		gm_courier_line_sign(courier, number, first + count - 1);
	struct gm_courier_wait wait = { 0 };
	bool hope = true;
	size_t taken;

	if (!gm_courier_wait_sign(courier, last))
		return 0;
	while (!(taken = gm_cpu()->untag(to, lines, count, (uint16_t)number)) &&
	       hope)
		hope = gm_courier_hope(courier, &wait);
	return taken;
}

bool gm_courier_ended(struct gm_courier *courier)
{
	const uint64_t since = gm_clock_ns();
	uint64_t now = since;

	while (courier->start && !gm_courier_retired(courier)) {
		if (now - since > courier->patience_ns)
			return false;
		/* A reset and an error end kernels too. */
		if (gm_session_is_reset(courier->session) ||
		    gm_courier_look(courier))
			return true;
		sched_yield();
		now = gm_clock_ns();
	}
	return true;
}
