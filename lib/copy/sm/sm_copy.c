// SPDX-License-Identifier: MIT
/*
 * The courier's host side. Jobs go out one ahead of the one that is being
 * drained, so that the GPU never waits for the host.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "copy/sm/private.h"
#include "cpu/cpu.h"
#include "base/error.h"
#include "copy/threads/pool.h"

/*
 * Four groups have 64 KiB on their way at once, more than the bus needs to be
 * busy.
 */
#define GM_COURIER_THREADS (4u * GM_COURIER_GROUP)
#define GM_COURIER_CHUNK_MIN 4096u
#define GM_COURIER_CHUNK_MAX 32768u
/* Shorter ones keep a group's threads from loading all that they can. */
#define GM_COURIER_CHUNK_FULL 8192u
#define GM_COURIER_TURNS 4u
/* Above this the pause after each wave costs more than it gains. */
#define GM_COURIER_WAVES_MAX ((size_t)256 << 10)
/* Of several threads' waves, in KiB. */
#define GM_COURIER_WAVE_SHARED 64u

/* A job straight into pinned memory, from which on it is in two chunks. */
#define GM_COURIER_DIRECT (2u * GM_COURIER_CHUNK_MAX)

#define GM_COURIER_PAGE 4096u

/* Below this, waking threads takes longer than the copy. */
#define GM_COURIER_SHARE ((size_t)128 << 10)
/* What is longer leaves the caches anyway. */
#define GM_COURIER_PAST_CACHES ((size_t)4 << 20)

/*
 * A kernel begins within 10 us, unless others keep the GPU busy or another
 * process has its turn on it. To find that out is not to cost more than a
 * hundredth of the time. A simulated GPU's kernels are threads: they begin when
 * there is a CPU, however late that is.
 */
#define GM_COURIER_BUSY_NS (100 * GM_US)
#define GM_COURIER_REST_NS (100 * GM_COURIER_BUSY_NS)
#define GM_COURIER_PATIENCE_NS (2000 * GM_MS)
#define GM_COURIER_SIMULATED_NS UINT64_MAX

/*
 * Waves of jobs up to so many bytes: the first one's KiB, each other's less, and
 * the groups of tagged lines that come before them, at most.
 */
struct gm_courier_waves {
	size_t up_to;
	uint32_t first, less, groups;
};

static const struct gm_courier_waves gm_courier_waves_table[] = {
	{ 10 << 10, 24, 0, GM_COURIER_TAGGED_GROUPS },
	{ 32 << 10, 24, 1, 32 },
	{ GM_COURIER_WAVES_MAX, 24, 1, 0 },
};

/*
 * Staged jobs up to GM_COURIER_WAVES_MAX. One multiprocessor of an H100 has some
 * 28 KiB on the bus at once: what a wave has more waits until the first of it has
 * arrived, and so does the host. Shorter waves wait for more fences. While the
 * last one is taken nothing comes: so they become shorter. Several threads are
 * soon through with what there is: few and long.
 */
static uint32_t gm_courier_waves(const struct gm_courier_part *part)
{
	const struct gm_courier_waves *waves = gm_courier_waves_table;
	const unsigned int most =
		GM_COURIER_WAVE(part->courier->threads) / GM_COURIER_WAVE_UNIT;
	const size_t end = part->gpu % GM_COURIER_PIECE + part->length;
	uint32_t first, groups;

	if (part->shared)
		return GM_COURIER_WAVES |
		       (GM_COURIER_WAVE_SHARED < most ? GM_COURIER_WAVE_SHARED
						      : most);
	while (part->length > waves->up_to)
		waves++;
	first = waves->first < most ? waves->first : most;
	groups = waves->groups;
	if (groups > (end - 1) / GM_COURIER_TAGGED_GROUP + 1)
		groups = (uint32_t)(end - 1) / GM_COURIER_TAGGED_GROUP + 1;
	return GM_COURIER_WAVES | first | waves->less << 16 | groups << 24;
}

/*
 * Nobody drains a direct job, so that all that a chunk's end brings is a pause.
 * Two groups send as much as one multiprocessor can.
 */
static unsigned int gm_courier_direct_chunk(size_t length)
{
	unsigned int shift = __builtin_ctz(GM_COURIER_CHUNK_MAX);

	while (length >> shift > 2)
		shift++;
	return shift;
}

/*
 * A short job: every group gets a chunk. A longer one: several each, so that the
 * first are drained while the last are pushed.
 */
static unsigned int gm_courier_chunk(const struct gm_courier *courier,
				     size_t length)
{
	const size_t groups = courier->threads / GM_COURIER_GROUP;
	size_t wanted = groups, least = GM_COURIER_CHUNK_MIN;
	unsigned int shift;

	if (length >= groups * GM_COURIER_CHUNK_FULL) {
		wanted = groups * GM_COURIER_TURNS;
		least = GM_COURIER_CHUNK_FULL;
	}
	shift = __builtin_ctzll(least);
	while (length >> shift > wanted && 1u << shift < courier->chunk_max)
		shift++;
	while (length >> shift > GM_COURIER_CHUNKS - 2)
		shift++;
	return shift;
}

/* What a job's `how` says of its chunks. */
static uint32_t gm_courier_chunks(const struct gm_courier_part *part,
				  bool direct, bool waves)
{
	if (waves)
		return gm_courier_waves(part);
	if (direct && part->length >= GM_COURIER_DIRECT)
		return gm_courier_direct_chunk(part->length);
	return gm_courier_chunk(part->courier, part->length);
}

/*
 * What a part gets tagged. A tag comes round after 65536 jobs: before that lines
 * that were not written since are given tags of neither this half of them nor
 * the next. No job is at work in the slot.
 */
static void gm_courier_tag(struct gm_courier_part *part, uint32_t how)
{
	struct gm_courier *courier = part->courier;
	const unsigned int slot = part->number % GM_COURIER_SLOTS;
	const uint64_t half = part->number >> (GM_COURIER_TAG_BITS - 1);
	const size_t skip = part->gpu % GM_COURIER_PIECE;
	const size_t tagged = GM_COURIER_TAGGED(how);

	if (!tagged)
		return;
	part->tagged = tagged - skip < part->length ? tagged - skip
						    : part->length;
	if (courier->cleared[slot] == half + 1)
		return;
	memset(courier->tagged + slot * GM_COURIER_TAGGED_ROOM,
	       half % 2 ? 0 : 0xff, GM_COURIER_TAGGED_ROOM);
	courier->cleared[slot] = half + 1;
}

/*
 * Sends a part on its way. host_gpu: where the GPU is to write it, or 0. alone:
 * no other part is out. more: the read has more.
 */
static int gm_courier_send(struct gm_courier_part *part, uint64_t gpu,
			   uint64_t host_gpu, bool alone, bool more)
{
	struct gm_courier *courier = part->courier;
	const uint64_t number = courier->number + 1;
	const unsigned int slot = number % GM_COURIER_SLOTS;
	const bool waves = !host_gpu && part->length <= courier->waves_max;
	uint32_t chunks;
	struct gm_courier_job *job = &courier->jobs[slot];
	size_t stage = slot * GM_COURIER_STAGE;

	gm_courier_settle(courier);
	courier->number = number;
	part->gpu = gpu;
	part->number = number;
	chunks = gm_courier_chunks(part, host_gpu, waves);
	/*
	 * In its page the stage lies where the target does or a little behind:
	 * a little ahead makes the string instructions that memcpy() takes 20
	 * times slower on an AMD EPYC (glibc 2.36).
	 */
	stage += ((uintptr_t)part->host + GM_COURIER_ALIGN - 1 -
		  gpu % GM_COURIER_ALIGN) %
		 GM_COURIER_PAGE / GM_COURIER_ALIGN * GM_COURIER_ALIGN;
	*job = (struct gm_courier_job){
		.from = gpu,
		.length = (uint32_t)part->length,
		.number = (uint32_t)number,
		.to = host_gpu,
		.how = chunks,
		.number_again = (uint32_t)number,
	};
	if (!host_gpu) {
		job->to = courier->memory_gpu + stage + gpu % GM_COURIER_ALIGN;
		job->how |= GM_COURIER_WHOLE;
	}
	/* Of other calls at work too. */
	courier->more = more || courier->holds > 1;
	if (courier->more)
		job->how |= GM_COURIER_MORE;
	part->stage = courier->memory + stage;
	part->skew = job->to % GM_COURIER_ALIGN;
	if (waves) {
		part->stage += part->skew;
		part->skew = 0;
		gm_courier_tag(part, chunks);
	}
	part->how = chunks;
	part->chunk = waves ? GM_COURIER_WAVE_FIRST(chunks)
			    : (size_t)1 << chunks;
	if (alone && (!courier->start || gm_courier_retired(courier)))
		return gm_courier_launch(courier, number);
	/* A kernel that retires now leaves it to gm_courier_wait(). */
	gm_courier_ring(courier, number);
	return 0;
}

/* What the caller has to do, once. */
static void gm_courier_aside(struct gm_courier *courier)
{
	if (courier->aside)
		courier->aside(courier->aside_arg);
	courier->aside = NULL;
}

/* Whether the rest of a read is not to be sent, and why. */
static int gm_courier_stop(const struct gm_courier *courier, size_t sent)
{
	const struct gm_courier_watch *watch = courier->watch;

	if (!gm_courier_alive(courier))
		return -ESTALE;
	return sent && watch && watch->give_way && watch->give_way(watch->arg)
		       ? -EAGAIN
		       : 0;
}

static int gm_courier_copy(struct gm_courier *courier, uint64_t gpu, char *host,
			   uint64_t host_gpu, size_t length,
			   struct gm_pool *pool, unsigned int threads)
{
	struct gm_courier_part parts[GM_COURIER_SLOTS];
	unsigned int sent_parts = 0, done_parts = 0;
	size_t sent = 0, done = 0;
	int rc = 0, stop = 0;

	courier->holds++;
	while (!rc && (sent < length || done_parts < sent_parts)) {
		struct gm_courier_part *part;

		if (sent < length &&
		    sent_parts - done_parts < GM_COURIER_SLOTS) {
			stop = gm_courier_stop(courier, sent);
			if (stop) {
				length = sent;
				continue;
			}
			part = &parts[sent_parts % GM_COURIER_SLOTS];
			*part = (struct gm_courier_part){
				.courier = courier,
				.host = host + sent,
				.length = length - sent < GM_COURIER_JOB
						  ? length - sent
						  : GM_COURIER_JOB,
				.past_caches = length >= GM_COURIER_PAST_CACHES,
			};
			part->shared = pool && threads > 1 &&
				       part->length >= GM_COURIER_SHARE;
			rc = gm_courier_send(part, gpu + sent,
					     host_gpu ? host_gpu + sent : 0,
					     sent_parts == done_parts,
					     sent + part->length < length);
			if (part->shared)
				gm_pool_rouse(pool, threads);
			gm_courier_aside(courier);
			sent += part->length;
			sent_parts++;
			continue;
		}
		part = &parts[done_parts % GM_COURIER_SLOTS];
		rc = gm_courier_finish(part, !host_gpu, pool, threads);
		done += rc ? 0 : part->length;
		done_parts++;
	}
	gm_courier_unhold(courier);
	if (courier->watch)
		courier->watch->done = done;
	return rc ? rc : stop;
}

/* Whether the GPU brings what the CPU wrote, before anyone relies on it. */
static int gm_courier_prove(struct gm_courier *courier)
{
	const size_t at = sizeof(struct gm_courier_bell) + 5;
	unsigned char wrote[200], read[sizeof(wrote)] = { 0 };
	int rc;

	for (size_t i = 0; i < sizeof(wrote); i++)
		wrote[i] = (unsigned char)(i * 151 + 7);
	gm_cpu()->store((char *)courier->bell + at, wrote, sizeof(wrote));
	gm_cpu_fence();
	rc = gm_courier_copy(courier, courier->bell_gpu + at, (char *)read, 0,
			     sizeof(read), NULL, 1);
	if (rc)
		return rc;
	courier->proven = !memcmp(wrote, read, sizeof(read));
	/* What it says of reads to come is nothing. */
	courier->judged = courier->start;
	if (courier->proven)
		return 0;
	return courier->dead = gm_error(
		       -EOPNOTSUPP, "courier: the GPU brings other bytes than "
				    "the CPU wrote; switch the courier off and "
				    "report this machine");
}

bool gm_courier_runs(const struct gm_courier *courier)
{
	return courier->start && !gm_courier_retired(courier);
}

bool gm_courier_wants_start(struct gm_courier *courier, uint64_t gap_ns,
			    uint64_t now, bool always)
{
	if (courier->judged != courier->start) {
		courier->judged = courier->start;
		gm_sm_launch_served(&courier->launch,
				    courier->number - courier->first + 1);
	}
	gm_courier_pause(courier, gap_ns, gap_ns < GM_SM_LAUNCH_TIGHT_NS);
	courier->always = always;
	courier->wait_ns = 0;
	if (always)
		return true;
	courier->wait_ns = gm_sm_launch_wanted(
		&courier->launch, gap_ns, courier->limits.idle_us * GM_US, now);
	return courier->wait_ns;
}

bool gm_courier_rests(const struct gm_courier *courier, uint64_t gap_ns,
		      uint64_t now)
{
	return gm_sm_launch_rests(&courier->launch, now) &&
	       gap_ns < GM_SM_LAUNCH_IDLE_MAX * courier->limits.idle_us * GM_US;
}

/* Before a read: 0 where the kernel runs or can be started. */
static int gm_courier_ready(struct gm_courier *courier)
{
	if (courier->dead)
		return gm_error(courier->dead,
				"courier: it failed before and is not used "
				"again; open the session anew");
	if (courier->given_up) {
		if (!gm_courier_retired(courier) ||
		    gm_clock_ns() - courier->start_time < courier->rest_ns)
			return gm_courier_busy();
		courier->given_up = false;
	}
	return courier->proven ? 0 : gm_courier_prove(courier);
}

int gm_courier_read(struct gm_courier *courier, uint64_t gpu, void *host,
		    uint64_t host_gpu, size_t length, struct gm_pool *pool,
		    unsigned int threads)
{
	struct gm_courier_watch *watch = courier->watch;
	int rc;

	courier->watch = NULL;
	rc = gm_courier_ready(courier);
	courier->watch = watch;
	if (!rc)
		rc = gm_courier_copy(courier, gpu, host, host_gpu, length, pool,
				     threads);
	courier->aside = NULL;
	courier->watch = NULL;
	return rc;
}

void gm_courier_watch(struct gm_courier *courier,
		      struct gm_courier_watch *watch)
{
	watch->done = 0;
	courier->watch = watch;
}

void gm_courier_meanwhile(struct gm_courier *courier, void (*aside)(void *arg),
			  void *arg)
{
	courier->aside = aside;
	courier->aside_arg = arg;
}

int gm_courier_new(struct gm_session *session,
		   const struct gm_courier_limits *limits,
		   struct gm_courier **courier)
{
	const bool simulated = session->cuda.simulated;
	struct gm_courier *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return gm_error(-ENOMEM, "courier: out of host memory; free "
					 "some");
	c->session = session;
	c->limits = *limits;
	c->threads = GM_COURIER_THREADS;
	c->chunk_max = GM_COURIER_CHUNK_MAX;
	c->waves_max = GM_COURIER_WAVES_MAX;
	c->patience_ns = simulated ? GM_COURIER_SIMULATED_NS
				   : GM_COURIER_PATIENCE_NS;
	c->rest_ns = GM_COURIER_REST_NS;
	c->busy_ns = simulated ? GM_COURIER_SIMULATED_NS : GM_COURIER_BUSY_NS;
	rc = gm_courier_load(c);
	if (rc) {
		free(c);
		return rc;
	}
	rc = gm_courier_place(c);
	if (rc && rc != -EBUSY) {
		gm_courier_free(c);
		return rc;
	}
	*courier = c;
	return 0;
}

void gm_courier_free(struct gm_courier *courier)
{
	if (gm_courier_ended(courier))
		gm_courier_unload(courier);
	else
		gm_debug("courier: its kernel does not end; its host memory "
			 "is left to it");
	free(courier);
}

void gm_courier_drop(struct gm_courier *courier)
{
	/* What the kernel writes was not inherited, see courier_load.c. */
	free(courier);
}

void gm_courier_set_limits(struct gm_courier *courier,
			   const struct gm_courier_limits *limits)
{
	courier->limits = *limits;
}

uint64_t gm_courier_starts(const struct gm_courier *courier)
{
	return courier->start;
}
