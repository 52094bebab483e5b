// SPDX-License-Identifier: MIT
/*
 * The courier, on the simulated GPU, where a thread does what its kernel does.
 * Built with the library's objects: the courier is not in its API.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/copy/sm/private.h"
#include "../../lib/base/error.h"
#include "../../lib/base/handle.h"
#include "../../lib/copy/threads/pool.h"
#include "clock.h"
#include "unit.h"

#define ROOM (5 * MIB + 4096)
#define GUARD 0xa5
#define BESIDE 32

static struct gm_session *session;
static struct gm_courier *courier;
static struct gm_pool *pool;
static CUdeviceptr memory;
static unsigned char *bytes; /* what is in memory */
static unsigned char *host, *pinned;
static uint32_t dice = 1;

static const struct gm_courier_limits calm = { 200, 2000 };
static const struct gm_courier_limits hasty = { 10, 100 };

static uint32_t roll(uint32_t sides)
{
	dice = dice * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)dice * sides >> 32);
}

static void rest(unsigned int us)
{
	const struct timespec time = { .tv_nsec = (long)us * 1000 };

	nanosleep(&time, NULL);
}

static struct gm_courier *courier_new(struct gm_session *of,
				      const struct gm_courier_limits *limits)
{
	struct gm_courier *made;

	if (gm_courier_new(of, limits, &made))
		fail_msg("%s", gpumem_last_error());
	return made;
}

/* Reads, and looks at what was and what was not to be written. */
static void check_read(size_t offset, unsigned char *to, bool direct,
		       size_t length, unsigned int threads)
{
	uint64_t to_gpu = direct ? (uintptr_t)to : 0;

	memset(to - BESIDE, GUARD, BESIDE);
	memset(to, ~bytes[offset], length < 64 ? length : 64);
	memset(to + length, GUARD, BESIDE);
	if (gm_courier_read(courier, memory + offset, to, to_gpu, length, pool,
			    threads))
		fail_msg("%zu bytes at %zu: %s", length, offset,
			 gpumem_last_error());
	assert_memory_equal(to, bytes + offset, length);
	for (size_t i = 0; i < BESIDE; i++) {
		assert_int_equal(to[length + i], GUARD);
		assert_int_equal(to[(ptrdiff_t)i - BESIDE], GUARD);
	}
}

static int setup(void **state)
{
	void *object;

	if (unit_setup(state) ||
	    gm_handle_get(GM_KIND_SESSION, unit_session, "test", &object))
		return -1;
	gm_handle_put(unit_session);
	session = object;
	memory = unit_alloc(ROOM);
	bytes = malloc(ROOM);
	host = malloc(ROOM + 4096);
	pool = gm_pool_new(4, -1);
	if (!bytes || !host || !pool ||
	    unit_cuda.alloc_host((void **)&pinned, ROOM + 4096))
		return -1;
	unit_fill(bytes, ROOM, 11);
	unit_cuda.sim_set_clock(&clock_gpu);
	return unit_cuda.to_device(memory, bytes, ROOM);
}

static int teardown(void **state)
{
	gm_pool_free(pool);
	unit_free(memory);
	free(bytes);
	free(host);
	assert_int_equal(unit_cuda.free_host(pinned), 0);
	return unit_teardown(state);
}

static int make(void **state)
{
	courier = courier_new(session, &calm);
	return 0;
}

static int make_hasty(void **state)
{
	courier = courier_new(session, &hasty);
	return 0;
}

/* With a kernel that runs until end_kernels(), as time stands still. */
static int make_in_stopped_time(void **state)
{
	courier = courier_new(session, &calm);
	clock_stop();
	return 0;
}

static int unmake(void **state)
{
	clock_go();
	gm_courier_free(courier);
	courier = NULL;
	return 0;
}

/* Whatever is read by it, what the CPU wrote was read and compared before. */
static void a_new_one_has_proven_itself(void **state)
{
	assert_true(courier->proven);
	assert_true(gm_courier_starts(courier) > 0);
}

static void small_reads_at_every_alignment(void **state)
{
	for (size_t shift = 0; shift < 64; shift++) {
		for (size_t length = 0; length <= 66; length++)
			check_read(1000 + shift,
				   host + BESIDE + (shift * 7 + length) % 64,
				   false, length, 1);
	}
}

static void small_reads_into_pinned_memory(void **state)
{
	for (size_t from = 0; from < 16; from++) {
		for (size_t to = 0; to < 16; to++) {
			for (size_t length = 0; length < 70; length += 3)
				check_read(2000 + from,
					   pinned + 64 + (to + from) % 64 + to,
					   true, length, 1);
		}
	}
}

static void every_length_around_the_chunks(void **state)
{
	static const size_t sizes[] = { 4096,
					6 * KIB,
					8192,
					4 * 4096,
					24 * KIB,
					32 * KIB,
					48 * KIB,
					62 * KIB,
					64 * KIB,
					90 * KIB,
					128 * KIB,
					256 * KIB,
					GM_COURIER_JOB,
					2 * GM_COURIER_JOB,
					3 * GM_COURIER_JOB };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t less = 0; less < 3; less++) {
			size_t length = sizes[i] + 1 - less;

			check_read(127 * less, host + BESIDE, false, length, 1);
			check_read(127, pinned + 64 + 9 * less, true, length,
				   1);
		}
	}
}

static void random_reads(void **state)
{
	for (int i = 0; i < 150; i++) {
		size_t offset = roll(4096);
		size_t length = roll(i % 10 ? 200000 : 5 * MIB);
		bool direct = roll(2);

		check_read(offset, (direct ? pinned : host) + 64 + roll(300),
			   direct, length, 1 + roll(4));
	}
}

static void count(void *times)
{
	++*(int *)times;
}

static void what_is_to_be_done_meanwhile_is_done_once(void **state)
{
	int times = 0;

	gm_courier_meanwhile(courier, count, &times);
	check_read(1, host + BESIDE, false, 100, 1);
	assert_int_equal(times, 1);
	check_read(2, host + BESIDE, false, 3 * MIB, 4);
	assert_int_equal(times, 1);
	gm_courier_meanwhile(courier, count, &times);
	check_read(3, host + BESIDE, false, 3 * MIB, 4);
	assert_int_equal(times, 2);
	/* A read of nothing ends before that, and leaves nothing to the next. */
	gm_courier_meanwhile(courier, count, &times);
	check_read(4, host + BESIDE, false, 0, 1);
	check_read(5, host + BESIDE, false, 100, 1);
	assert_int_equal(times, 2);
}

static bool is_retired(void)
{
	return __atomic_load_n(&courier->flags->retired.value,
			       __ATOMIC_ACQUIRE) == courier->start;
}

static void end_kernels(void)
{
	assert_int_equal(clock_end_kernels(unit_cuda.synchronize), 0);
	assert_true(is_retired());
}

static void one_kernel_does_many_jobs(void **state)
{
	uint64_t starts;

	end_kernels();
	starts = gm_courier_starts(courier);
	for (int i = 0; i < 100; i++)
		check_read(i, host + BESIDE, false, 100, 1);
	assert_int_equal(gm_courier_starts(courier), starts + 1);
	assert_false(is_retired());
}

static void it_is_started_again_after_it_retired(void **state)
{
	for (int i = 0; i < 20; i++) {
		uint64_t starts = gm_courier_starts(courier);

		end_kernels();
		check_read(i, host + BESIDE, false, 1000, 1);
		assert_true(gm_courier_starts(courier) > starts);
	}
}

/*
 * By its age where it waits for its next job longer than it lives. Then others
 * get their turn: the next one does not start at once, unless time has passed.
 */
static void it_says_why_it_retired(void **state)
{
	static const struct gm_courier_limits aging = { 1000000, 100 };
	static const struct gm_courier_limits idle = { 100, 1000000 };

	for (int i = 0; i < 6; i++) {
		const bool aged = i % 2, late = i >= 4;
		uint64_t time;

		end_kernels();
		clock_move(10 * CLOCK_MS);
		gm_courier_set_limits(courier, aged ? &aging : &idle);
		check_read(i, host + BESIDE, false, 1000, 1);
		end_kernels();
		assert_int_equal(courier->flags->aged.value == courier->start,
				 aged);
		if (late)
			clock_move(CLOCK_MS);
		time = gm_clock_ns();
		check_read(i, host + BESIDE, false, 1000, 1);
		assert_int_equal(gm_clock_ns() != time, aged && !late);
	}
}

/* Who reads again later than that has given them their turn already. */
static void a_read_after_a_pause_waits_for_nobody(void **state)
{
	static const struct gm_courier_limits aging = { 1000000, 100 };
	uint64_t time;

	gm_courier_set_limits(courier, &aging);
	for (int late = 0; late < 2; late++) {
		clock_move(10 * CLOCK_MS);
		check_read(1, host + BESIDE, false, 1000, 1);
		end_kernels();
		time = gm_clock_ns();
		gm_courier_wants_start(courier, late ? 60 * CLOCK_US : 0, time,
				       false);
		assert_int_equal(gm_clock_ns() != time, !late);
	}
}

/* One that serves many reads is started again at once, others later and later. */
static void starts_are_judged_by_what_they_served(void **state)
{
	static const struct gm_courier_limits limits = { 10000, 20000 };
	unsigned int tries[3] = { 0 };

	gm_courier_set_limits(courier, &limits);
	assert_false(gm_courier_runs(courier));
	for (int many = 0; many < 2; many++)
		for (int i = 0; i < 3; i++) {
			for (int k = 0; k < (many ? 20 : 1); k++)
				check_read(i, host + BESIDE, false, 1000, 1);
			assert_true(gm_courier_runs(courier));
			end_kernels();
			assert_false(gm_courier_runs(courier));
			assert_false(gm_courier_wants_start(
				courier,
				GM_SM_LAUNCH_IDLE_MAX * limits.idle_us *
					CLOCK_US,
				0, false));
			tries[i] = 0;
			while (!gm_courier_wants_start(courier, 5000, 0, false))
				tries[i]++;
			if (many)
				assert_int_equal(tries[i], 0);
			else if (i)
				assert_true(tries[i] > tries[i - 1]);
		}
}

static struct {
	CUresult (*call)(CUstream stream);
	uint64_t running_ns, idle_ns, late_ns;
	unsigned int calls;
} query;

/* Takes as long as a driver would; every third one is late. */
static CUresult query_for_long(CUstream stream)
{
	const CUresult result = query.call(stream);

	clock_move(result ? query.running_ns : query.idle_ns);
	if (query.calls++ % 3 == 0)
		clock_move(query.late_ns);
	return result;
}

/* A life to the full, in which it is looked at or not; whether it rests then. */
static bool rests_after_a_life(bool looked_at, bool in_row)
{
	static const struct gm_courier_limits aging = { 1000000, 100 };
	bool rests;

	clock_move(10 * CLOCK_MS);
	gm_courier_set_limits(courier, &aging);
	check_read(1, host + BESIDE, false, 1000, 1);
	assert_false(gm_courier_may_time(courier, gm_clock_ns()));
	assert_false(gm_courier_may_time(courier, gm_clock_ns() - CLOCK_MS));
	clock_move(60 * CLOCK_US);
	assert_int_equal(gm_courier_may_time(courier, gm_clock_ns()),
			 !session->cuda.simulated);
	if (looked_at && gm_courier_may_time(courier, gm_clock_ns())) {
		gm_courier_time_running(courier);
		assert_false(gm_courier_may_time(courier, gm_clock_ns()));
	}
	end_kernels();
	gm_courier_wants_start(courier, in_row ? 0 : 10 * CLOCK_US,
			       gm_clock_ns(), false);
	rests = gm_courier_rests(courier, 0, gm_clock_ns());
	courier->launch.rest_until = 0;
	return rests;
}

/*
 * A driver knows without a look that a stream is idle where a thread has waited for
 * it, and tells it as quickly as that a kernel runs.
 */
static void it_rests_where_another_thread_waits_for_it(void **state)
{
	query.call = session->cuda.stream_query;
	query.running_ns = 300;
	query.late_ns = 20 * CLOCK_US;
	session->cuda.stream_query = query_for_long;
	session->cuda.simulated = false;

	query.idle_ns = 1300;
	query.calls = 0;
	for (int i = 0; i < 20; i++)
		assert_false(rests_after_a_life(true, true));
	/* Three questions while it runs, and three when it has ended. */
	assert_int_equal(query.calls, 20 * 6);
	query.idle_ns = 500;
	assert_false(rests_after_a_life(true, true));
	for (int i = 0; i < 3; i++)
		assert_true(rests_after_a_life(true, true));
	/* The thread itself may have waited, or nothing is known to compare with. */
	for (int i = 0; i < 20; i++) {
		assert_false(rests_after_a_life(true, false));
		assert_false(rests_after_a_life(false, true));
	}
	query.idle_ns = 700;
	for (int i = 0; i < 20; i++)
		assert_false(rests_after_a_life(true, true));
	/* With a tracer, which makes each call longer. */
	query.running_ns = 2300;
	query.idle_ns = 3400;
	for (int i = 0; i < 20; i++)
		assert_false(rests_after_a_life(true, true));
	query.idle_ns = 2500;
	assert_false(rests_after_a_life(true, true));
	assert_true(rests_after_a_life(true, true));
	query.running_ns = 300;

	session->cuda.simulated = true;
	query.calls = 0;
	query.idle_ns = 100;
	for (int i = 0; i < 20; i++)
		assert_false(rests_after_a_life(true, true));
	assert_int_equal(query.calls, 0);
	session->cuda.stream_query = query.call;
}

/* Asked before each part, and at each start; what it may do, and how often. */
struct asked {
	unsigned int alive, give_way; /* times that it still is, does not */
	unsigned int asked;
};

static bool still_alive(void *arg)
{
	struct asked *asked = arg;

	asked->asked++;
	return asked->alive && asked->alive--;
}

static bool now_gives_way(void *arg)
{
	struct asked *asked = arg;

	return !asked->give_way || !asked->give_way--;
}

/* Returns what the read did, with what it left alone still as it was. */
static int read_watched(struct asked *asked, size_t length, size_t *done,
			unsigned int threads)
{
	struct gm_courier_watch watch = { .alive = still_alive,
					  .give_way = now_gives_way,
					  .arg = asked };
	int rc;

	memset(host, GUARD, length);
	gm_courier_watch(courier, &watch);
	rc = gm_courier_read(courier, memory, host, 0, length, pool, threads);
	*done = watch.done;
	assert_memory_equal(host, bytes, *done);
	for (size_t i = *done; i < length; i++)
		if (host[i] != GUARD)
			fail_msg("byte %zu was written, of %zu done", i, *done);
	return rc;
}

static void memory_that_is_gone_is_not_read(void **state)
{
	struct gpumem_sim_info before, info;
	size_t done;

	check_read(0, host + BESIDE, false, 1000, 1);
	for (unsigned int alive = 0; alive < 8; alive++) {
		struct asked asked = { .alive = alive, .give_way = 100 };
		int rc;

		if (alive % 2)
			end_kernels();
		assert_int_equal(unit_cuda.sim_info(&before), 0);
		rc = read_watched(&asked, 3 * MIB, &done, 1 + alive % 4);
		assert_int_equal(unit_cuda.sim_info(&info), 0);
		assert_true(info.jobs - before.jobs <= alive);
		assert_int_equal(rc, done == 3 * MIB ? 0 : -ESTALE);
		/* It is asked for each of three parts, and at a start. */
		assert_true(!rc || asked.asked == alive + 1);
	}
	/* That is forgotten with the read. */
	check_read(77, host + BESIDE, false, 3 * MIB, 4);
}

/* What a read that ended early left behind delays no other, and changes none. */
static void reads_follow_what_was_left(void **state)
{
	size_t done;

	for (int i = 0; i < 200; i++) {
		struct asked asked = { .alive = roll(6), .give_way = roll(3) };

		gm_courier_set_limits(courier, i % 2 ? &calm : &hasty);
		read_watched(&asked, 3 * MIB, &done, 1);
		check_read(roll(4096), host + BESIDE, false,
			   i % 3 ? 2 * MIB + roll(MIB) : 1 + roll(4096), 1);
	}
}

static bool alive_for_long(void *arg)
{
	clock_move(2 * hasty.life_us * CLOCK_US);
	return true;
}

static bool never_gives_way(void *arg)
{
	return false;
}

/* One read is one life, whatever its age: what frees memory waits for its end. */
static void a_long_read_is_one_life(void **state)
{
	struct gm_courier_watch watch = { .alive = alive_for_long,
					  .give_way = never_gives_way };
	uint64_t starts;

	gm_courier_set_limits(courier, &hasty);
	for (int i = 0; i < 10; i++) {
		end_kernels();
		starts = gm_courier_starts(courier);
		gm_courier_watch(courier, &watch);
		check_read(i, host + BESIDE, false, 5 * MIB, 1 + i % 4);
		assert_int_equal(gm_courier_starts(courier), starts + 1);
	}
}

static void a_long_read_gives_way(void **state)
{
	size_t done;

	for (unsigned int parts = 1; parts < 5; parts++) {
		struct asked asked = { .alive = 1000, .give_way = parts - 1 };
		int rc = read_watched(&asked, 4 * MIB, &done, 1);

		assert_int_equal(rc, parts < 4 ? -EAGAIN : 0);
		assert_int_equal(done, parts * MIB);
	}
}

/* Jobs come at all moments before, while and after it retires. */
static void no_job_is_lost_when_it_retires(void **state)
{
	for (int i = 0; i < 1000; i++) {
		check_read(roll(5000), (i % 2 ? pinned : host) + BESIDE, i % 2,
			   roll(300), 1);
		if (i % 4)
			rest(roll(60));
	}
	/* Each job outlives the kernel's life: the next one finds it gone. */
	for (int i = 0; i < 10; i++)
		check_read(roll(4096), host + BESIDE, false, 5 * MIB,
			   1 + i % 4);
}

static void numbers_go_round(void **state)
{
	end_kernels();
	courier->number = UINT32_MAX - 5ull;
	for (int i = 0; i < 10; i++)
		check_read(i, host + BESIDE, false, 2 * MIB + i, 1);
	assert_true(courier->number > UINT32_MAX);
	/* A kernel that waits for it there finds a slot that no job was put in. */
	for (int i = 0; i < 20; i++) {
		end_kernels();
		courier->number = ((i + 2ull) << 32) - 2;
		check_read(i, host + BESIDE, false, 100, 1);
		rest(20);
		check_read(i, host + BESIDE, false, MIB, 1);
	}
}

/* Sixteen bits say which job a word is of: those of old jobs come round. */
static void tags_go_round(void **state)
{
	for (unsigned int half = 1; half < 6; half++) {
		for (unsigned int less = 0; less < 2; less++) {
			end_kernels();
			courier->number = half * 32768ull - 4 + less;
			for (int i = 0; i < 12; i++)
				check_read(roll(4096), host + BESIDE, false,
					   i % 3 ? 6000 : 100, 1);
			/* In the same slot, with the same tag. */
			end_kernels();
			courier->number += 65535;
			check_read(roll(4096), host + BESIDE, false, 6000, 1);
		}
	}
}

/* Lines that are not all there are not waited for when the kernel has ended. */
static void lines_that_do_not_come_are_given_up(void **state)
{
	struct gm_courier_word *lines;
	unsigned char line[48];
	uint64_t number;

	check_read(1, host + BESIDE, false, 1000, 1);
	end_kernels();
	number = courier->number;
	assert_int_equal(gm_courier_untag(courier, number, (char *)line, 1, 1),
			 1);
	assert_memory_equal(line, bytes + 48, sizeof(line));
	assert_int_equal(
		gm_courier_untag(courier, number + 2, (char *)line, 1, 1), 0);
	lines = (struct gm_courier_word *)(courier->tagged +
					   number % GM_COURIER_SLOTS *
						   GM_COURIER_TAGGED_ROOM);
	/* The last word alone, or all but one. */
	lines[1].rest[6] = (number + 2) << 48;
	assert_int_equal(
		gm_courier_untag(courier, number + 2, (char *)line, 1, 1), 0);
	lines[1].value = (number + 2) << 48;
	for (int i = 0; i < 7; i++)
		lines[1].rest[i] = (number + 2 + (i == 3)) << 48;
	assert_int_equal(
		gm_courier_untag(courier, number + 2, (char *)line, 1, 1), 0);
	lines[1].rest[3] = (number + 2) << 48;
	assert_int_equal(
		gm_courier_untag(courier, number + 2, (char *)line, 1, 1), 1);
	check_read(1, host + BESIDE, false, 1000, 1);
	check_read(2, host + BESIDE, false, 1000, 1);
}

struct reader {
	struct gm_courier *courier;
	pthread_mutex_t *lock; /* one call at a time */
	CUdeviceptr memory;
	const unsigned char *bytes;
	unsigned int seed;
	int failed;
};

static void *read_often(void *arg)
{
	struct reader *reader = arg;
	unsigned char *to = malloc(70000);
	uint32_t x = reader->seed;

	for (int i = 0; i < 100 && to; i++) {
		size_t offset = (x = x * 1664525 + 1013904223) >> 14;
		size_t length = (x = x * 1664525 + 1013904223) >> 16;

		pthread_mutex_lock(reader->lock);
		reader->failed |= !!gm_courier_read(reader->courier,
						    reader->memory + offset, to,
						    0, length, NULL, 1);
		pthread_mutex_unlock(reader->lock);
		reader->failed |= !!memcmp(to, reader->bytes + offset, length);
	}
	reader->failed |= !to;
	free(to);
	return NULL;
}

static void read_in_threads(struct reader *readers, int count)
{
	pthread_t threads[8];

	for (int i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_often,
						&readers[i]),
				 0);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < count; i++)
		assert_int_equal(readers[i].failed, 0);
}

static void threads_take_turns(void **state)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct reader readers[6];

	for (int i = 0; i < 6; i++)
		readers[i] =
			(struct reader){ courier, &lock, memory, bytes, i, 0 };
	read_in_threads(readers, 6);
}

static void two_sessions_have_a_courier_each(void **state)
{
	pthread_mutex_t locks[2] = { PTHREAD_MUTEX_INITIALIZER,
				     PTHREAD_MUTEX_INITIALIZER };
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	struct reader readers[2];
	struct gpumem *other;
	void *object;

	assert_int_equal(gpumem_open(&options, &other), 0);
	assert_int_equal(gm_handle_get(GM_KIND_SESSION, other, "test", &object),
			 0);
	gm_handle_put(other);
	readers[0] = (struct reader){ courier, &locks[0], memory, bytes, 1, 0 };
	readers[1] = (struct reader){
		courier_new(object, &hasty), &locks[1], memory, bytes, 2, 0
	};
	read_in_threads(readers, 2);
	gm_courier_free(readers[1].courier);
	assert_int_equal(gpumem_close(other), 0);
}

static bool stop;

static void *synchronize_often(void *arg)
{
	CUresult (*synchronize)(void);
	CUdeviceptr addr;

	*(void **)&synchronize =
		gpumem_cuda_symbol(unit_session, "cuCtxSynchronize");
	unit_use_context();
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (synchronize() || unit_cuda.alloc(&addr, 4096) ||
		    unit_cuda.free(addr))
			return "failed";
	}
	return NULL;
}

static void others_wait_and_go_on(void **state)
{
	pthread_t thread;
	void *failed;

	stop = false;
	assert_int_equal(pthread_create(&thread, NULL, synchronize_often, NULL),
			 0);
	for (int i = 0; i < 300; i++)
		check_read(roll(5000), host + BESIDE, false, roll(50000), 1);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, &failed);
	assert_null(failed);
}

static void a_busy_gpu_is_no_failure(void **state)
{
	const uint64_t patience = courier->busy_ns;

	end_kernels();
	memset(host, GUARD, 4096);
	unit_cuda.sim_hold_kernels(true);
	courier->busy_ns = 1000000;
	for (int i = 0; i < 3; i++)
		unit_expect_error(gm_courier_read(courier, memory, pinned,
						  (uintptr_t)pinned, 4096, NULL,
						  1),
				  -EBUSY, "courier", NULL);
	memset(pinned, GUARD, 4096);
	unit_cuda.sim_hold_kernels(false);
	courier->busy_ns = patience;
	end_kernels();
	/* The one that was given up wrote nothing. */
	assert_memory_equal(pinned, host, 4096);
	/* For a while it is not even tried. */
	clock_stop();
	courier->rest_ns = gm_clock_ns() - courier->start_time + 1;
	unit_expect_error(gm_courier_read(courier, memory, host, 0, 10, NULL,
					  1),
			  -EBUSY, "courier", NULL);
	clock_move(1);
	check_read(0, host + BESIDE, false, 5000, 1);
}

static void the_bell_is_where_it_is_seen_first(void **state)
{
	clock_stop();
	clock_gpu_step(CLOCK_US);
	/* Neither the first nor the last, and the first. */
	for (int near = 2; near >= 0; near -= 2) {
		struct gm_courier *c;
		char page[8];

		snprintf(page, sizeof(page), "%d", near);
		setenv("GPUMEM_SIM_NEAR_PAGE", page, 1);
		c = courier_new(session, &calm);
		unsetenv("GPUMEM_SIM_NEAR_PAGE");
		assert_int_equal(c->bell_gpu / GM_COURIER_PLACE % 16, near);
		assert_ptr_equal((char *)c->bell - c->bells,
				 c->bell_gpu - c->bells_gpu);
		assert_int_equal(c->limits.idle_us, calm.idle_us);
		memset(host, GUARD, 100);
		assert_int_equal(
			gm_courier_read(c, memory, host, 0, 100, NULL, 1), 0);
		assert_memory_equal(host, bytes, 100);
		gm_courier_free(c);
	}
}

static void a_busy_gpu_ends_the_search_for_a_place(void **state)
{
	const uint64_t patience = courier->busy_ns;

	end_kernels();
	unit_cuda.sim_hold_kernels(true);
	courier->busy_ns = 1000000;
	unit_expect_error(gm_courier_place(courier), -EBUSY, "courier", NULL);
	unit_cuda.sim_hold_kernels(false);
	courier->busy_ns = patience;
	assert_int_equal(courier->limits.idle_us, calm.idle_us);
	courier->rest_ns = 0;
	end_kernels();
	check_read(0, host + BESIDE, false, 5000, 1);
}

static void a_child_leaves_it_alone(void **state)
{
	int status;
	pid_t pid;

	check_read(0, host + BESIDE, false, 5000, 1);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		gm_courier_drop(courier);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (int i = 0; i < 20; i++)
		check_read(i, host + BESIDE, false, 5000, 1);
}

/* On another GPU: its context is of no use afterwards. */
static void a_fault_ends_it_for_good(void **state)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim",
					  .device = 1 };
	const CUdeviceptr nowhere = 0x1000;
	struct gpumem *other;
	struct gm_courier *c;
	void *object;

	assert_int_equal(gpumem_open(&options, &other), 0);
	assert_int_equal(gm_handle_get(GM_KIND_SESSION, other, "test", &object),
			 0);
	gm_handle_put(other);
	c = courier_new(object, &calm);
	unit_expect_error(gm_courier_read(c, nowhere, host, 0, 3 * MIB, pool,
					  4),
			  -EIO, "courier", "CUDA_ERROR_ILLEGAL_ADDRESS", NULL);
	unit_expect_error(gm_courier_read(c, nowhere, host, 0, 10, pool, 4),
			  -EIO, "failed before", NULL);
	gm_courier_free(c);
	assert_int_equal(gpumem_close(other), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CALM(test) cmocka_unit_test_setup_teardown(test, make, unmake)
#define HASTY(test) cmocka_unit_test_setup_teardown(test, make_hasty, unmake)
#define STOPPED(test) \
	cmocka_unit_test_setup_teardown(test, make_in_stopped_time, unmake)
		CALM(a_new_one_has_proven_itself),
		CALM(small_reads_at_every_alignment),
		CALM(small_reads_into_pinned_memory),
		CALM(every_length_around_the_chunks),
		CALM(random_reads),
		HASTY(random_reads),
		CALM(what_is_to_be_done_meanwhile_is_done_once),
		STOPPED(one_kernel_does_many_jobs),
		CALM(it_is_started_again_after_it_retired),
		STOPPED(it_says_why_it_retired),
		STOPPED(a_read_after_a_pause_waits_for_nobody),
		STOPPED(starts_are_judged_by_what_they_served),
		STOPPED(it_rests_where_another_thread_waits_for_it),
		STOPPED(memory_that_is_gone_is_not_read),
		CALM(a_long_read_gives_way),
		CALM(reads_follow_what_was_left),
		STOPPED(a_long_read_is_one_life),
		HASTY(no_job_is_lost_when_it_retires),
		CALM(numbers_go_round),
		CALM(tags_go_round),
		CALM(lines_that_do_not_come_are_given_up),
		HASTY(numbers_go_round),
		CALM(threads_take_turns),
		HASTY(threads_take_turns),
		CALM(two_sessions_have_a_courier_each),
		CALM(others_wait_and_go_on),
		CALM(a_busy_gpu_is_no_failure),
		CALM(the_bell_is_where_it_is_seen_first),
		CALM(a_busy_gpu_ends_the_search_for_a_place),
		CALM(a_child_leaves_it_alone),
		cmocka_unit_test(a_fault_ends_it_for_good),
	};

	return group_run(tests, setup, teardown);
}
