// SPDX-License-Identifier: MIT
/*
 * What copies find out about host memory, and what they take for granted until they
 * know: that it is pageable, and that reads come as they came before.
 */
#include "../../lib/copy/context.h"
#include "../../lib/copy/sm/launch.h"
#include "../../lib/base/handle.h"
#include "../../lib/core/session.h"
#include "clock.h"
#include "unit.h"

#define BYTES (3 * MIB + 12345)
#define IDLE_US 5000
#define LIFE_US 10000

static unsigned char pattern[BYTES], got[BYTES];

static const struct gpumem_copy_options by_engine = {
	.size = sizeof(by_engine),
	.method = GPUMEM_COPY_ENGINE
};

static CUresult register_host(void *host, size_t bytes)
{
	CUresult (*call)(void *host, size_t bytes, unsigned int flags) =
		gpumem_cuda_symbol(unit_session, "cuMemHostRegister_v2");

	return call(host, bytes, 0);
}

/* Where time stands still, what waits for the GPU waits for ever otherwise. */
static void end_kernels(void)
{
	assert_int_equal(clock_end_kernels(unit_cuda.synchronize), 0);
}

static CUresult unregister_host(void *host)
{
	CUresult (*call)(void *host) =
		gpumem_cuda_symbol(unit_session, "cuMemHostUnregister");

	end_kernels();
	return call(host);
}

/* How many copies CUDA itself had to do because the memory is not pinned. */
static uint64_t cuda_copied(void)
{
	struct gpumem_sim_info info;

	assert_int_equal(unit_cuda.sim_info(&info), 0);
	return info.pageable_copies;
}

/* How many the engine was given. */
static uint64_t engine_copied(void)
{
	struct gpumem_sim_info info;

	assert_int_equal(unit_cuda.sim_info(&info), 0);
	return info.copies;
}

/* Out and back, all bytes. */
static void there_and_back(struct gpumem_buf *buf, unsigned char *host,
			   const struct gpumem_copy_options *options)
{
	static uint32_t seed = 100;

	unit_fill(host, BYTES, ++seed);
	unit_fill(pattern, BYTES, seed);
	assert_int_equal(gpumem_write_with(buf, 0, host, BYTES, options), 0);
	memset(host, 0, BYTES);
	assert_int_equal(gpumem_read_with(buf, 0, host, BYTES, options), 0);
	assert_memory_equal(host, pattern, BYTES);
}

/* What was pinned at the last copy may not be so at the next, and again later. */
static void memory_that_is_pinned_no_longer_is_noticed(void **state)
{
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	const struct gpumem_copy_options pageable = {
		.size = sizeof(pageable), .flags = GPUMEM_COPY_PAGEABLE
	};
	unsigned char *host[6];
	uint64_t before = cuda_copied();

	for (int i = 0; i < 6; i++) {
		host[i] = aligned_alloc(4096, 4 * MIB);
		assert_non_null(host[i]);
		assert_int_equal(register_host(host[i], 4 * MIB), 0);
	}
	for (int i = 0; i < 18; i++)
		there_and_back(buf, host[i * i % 6], NULL);
	for (int i = 0; i < 3; i++)
		there_and_back(buf, host[5], NULL);
	assert_int_equal(cuda_copied(), before);

	assert_int_equal(unregister_host(host[5]), 0);
	there_and_back(buf, host[5], &pageable);
	assert_int_equal(cuda_copied(), before);
	/* The engine leaves long copies of it to CUDA, in one call. */
	there_and_back(buf, host[5], &by_engine);
	before += 2;
	assert_int_equal(cuda_copied(), before);
	there_and_back(buf, host[5] + 99, NULL);
	there_and_back(buf, host[5], NULL);
	assert_int_equal(cuda_copied(), before);
	/* And pinned again. */
	assert_int_equal(register_host(host[5], 4 * MIB), 0);
	there_and_back(buf, host[5], NULL);
	there_and_back(buf, host[5], &by_engine);
	assert_int_equal(cuda_copied(), before);

	for (int i = 0; i < 6; i++) {
		assert_int_equal(unregister_host(host[i]), 0);
		free(host[i]);
	}
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static struct gpumem_sim_info jobs_since(const struct gpumem_sim_info *before)
{
	struct gpumem_sim_info info;

	assert_int_equal(unit_cuda.sim_info(&info), 0);
	info.jobs -= before->jobs;
	info.staged_jobs -= before->staged_jobs;
	return info;
}

/*
 * Each test has a session of its own: what another test taught it of memory would
 * be taken for this one's, whose memory may lie at the same address.
 */
static int setup(void **state)
{
	if (unit_setup(state))
		return -1;
	unit_cuda.sim_set_clock(&clock_gpu);
	return 0;
}

/* Time stands still: a kernel runs until the test lets it end. */
static int stop_time(void **state)
{
	struct gpumem_copy_settings settings = { .size = sizeof(settings) };

	if (setup(state) || gpumem_copy_settings_get(unit_session, &settings))
		return -1;
	settings.courier_idle_us = IDLE_US;
	settings.courier_life_us = LIFE_US;
	if (gpumem_copy_settings_set(unit_session, &settings))
		return -1;
	clock_stop();
	return 0;
}

static int go_on(void **state)
{
	clock_go();
	return unit_teardown(state);
}

/*
 * Reads so much into host, and counts jobs, of which so many were staged. A read
 * that finds no kernel may be an isolated one; then those that follow are none, as
 * no time passes, and start it before long.
 */
static void read_by_courier(struct gpumem_buf *buf, unsigned char *host,
			    size_t length, unsigned int jobs,
			    unsigned int staged)
{
	struct gpumem_sim_info before, info;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(unit_cuda.sim_info(&before), 0);
		memset(host, 0, length);
		assert_int_equal(gpumem_read(buf, 0, host, length), 0);
		assert_memory_equal(host, pattern, length);
		info = jobs_since(&before);
		if (info.jobs || !jobs)
			break;
	}
	assert_int_equal(info.jobs, jobs);
	assert_int_equal(info.staged_jobs, staged);
	assert_int_equal(info.copies, before.copies);
}

/* One copy each, and none of a short one. */
static void a_copy_of_pinned_memory_is_one_copy(void **state)
{
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	uint64_t before = engine_copied();
	void *host;

	assert_int_equal(unit_cuda.alloc_host(&host, BYTES), 0);
	there_and_back(buf, host, NULL);
	assert_int_equal(engine_copied(), before + 2);
	there_and_back(buf, host, NULL);
	assert_int_equal(engine_copied(), before + 4);
	assert_int_equal(gpumem_write(buf, 0, host, 128 * KIB), 0);
	assert_int_equal(engine_copied(), before + 4);
	read_by_courier(buf, host, 128 * KIB, 1, 0);
	end_kernels();
	assert_int_equal(unit_cuda.free_host(host), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

/* The copy goes another way, and the engine is not asked again. */
static void an_engine_that_fails_loses_nothing(void **state)
{
	void (*break_copies)(uint64_t count) =
		gpumem_cuda_symbol(unit_session, "gpumem_sim_fail_copies");
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem *session = NULL;
	struct gpumem_buf *buf;
	uint64_t before;
	void *host;

	assert_int_equal(unit_cuda.alloc_host(&host, BYTES), 0);
	for (int used = 0; used < 2; used++) {
		assert_int_equal(gpumem_open(NULL, &session), 0);
		assert_int_equal(gpumem_pin(session, addr, BYTES, 0, &buf), 0);
		if (used)
			there_and_back(buf, host, NULL);
		before = engine_copied();
		break_copies(1);
		there_and_back(buf, host, NULL);
		assert_int_equal(engine_copied(), before + 1);
		there_and_back(buf, host, NULL);
		assert_int_equal(engine_copied(), before + 1);
		unit_expect_error(gpumem_read_with(buf, 0, host, BYTES,
						   &by_engine),
				  -EOPNOTSUPP, "CUDA error 999", NULL);
		assert_int_equal(gpumem_close(session), 0);
	}
	break_copies(0);
	assert_int_equal(unit_cuda.free_host(host), 0);
	unit_free(addr);
}

/*
 * The end of a copy is seen by the value that the stream writes, and without it where
 * that is lost or refused.
 */
static void a_copy_ends_with_its_flag_or_without(void **state)
{
	void (*break_writes)(int how) =
		gpumem_cuda_symbol(unit_session, "gpumem_sim_break_writes");
	static const int hows[] = { 3, 0, 2, 3, 4, 1, 0 };
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);

	for (size_t k = 0; k < sizeof(hows) / sizeof(hows[0]); k++) {
		for (uint32_t i = 0; i < 3; i++) {
			const size_t length = 100 * KIB << (i + i % 2);

			unit_fill(pattern, BYTES, 10 * (int)k + i);
			assert_int_equal(
				unit_cuda.to_device(addr, pattern, BYTES), 0);
			memset(got, 0, BYTES);
			break_writes(hows[k]);
			assert_int_equal(gpumem_read_with(buf, 0, got, length,
							  &by_engine),
					 0);
			break_writes(0);
			assert_memory_equal(got, pattern, length);
		}
	}
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

/* The plan decides, by what the memory is now and by its length. */
static void what_was_pinned_is_asked_of_the_plan_too(void **state)
{
	static const struct gpumem_plan_step steps[] = {
		{ GPUMEM_COPY_PINNED, GPUMEM_COPY_ENGINE, 1, 0, 1024 },
		{ GPUMEM_COPY_PINNED, GPUMEM_COPY_CPU, 1, 0, UINT64_MAX },
		{ GPUMEM_COPY_PINNED | GPUMEM_COPY_READ, GPUMEM_COPY_CPU, 1, 0,
		  UINT64_MAX },
	};
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	unsigned char *host = aligned_alloc(4096, 4 * MIB);
	uint64_t asked, before = cuda_copied();

	assert_non_null(host);
	assert_int_equal(register_host(host, BYTES / 2), 0);
	assert_int_equal(gpumem_write_with(buf, 0, host, BYTES / 2, NULL), 0);
	/* A part of it is pinned. */
	there_and_back(buf, host, NULL);
	assert_int_equal(unregister_host(host), 0);
	there_and_back(buf, host, NULL);
	assert_int_equal(cuda_copied(), before);
	assert_int_equal(register_host(host, BYTES), 0);
	there_and_back(buf, host, NULL);
	assert_int_equal(gpumem_plan_set(unit_session, steps, 3, 0), 0);
	/* The shortest ones too, though those of other memory go by the CPU. */
	asked = engine_copied();
	assert_int_equal(gpumem_write(buf, 0, host, 512), 0);
	assert_int_equal(engine_copied(), asked + 1);
	before = cuda_copied();
	assert_int_equal(unregister_host(host), 0);
	there_and_back(buf, host, NULL);
	assert_int_equal(cuda_copied(), before);
	assert_int_equal(gpumem_plan_set(unit_session, NULL, 0, 0), 0);
	/* GPU memory that was freed is not the engine's, whoever asks. */
	unit_free(addr);
	asked = engine_copied();
	assert_int_equal(gpumem_write(buf, 0, host, BYTES), 0);
	memset(got, 0, BYTES);
	assert_int_equal(gpumem_read(buf, 0, got, BYTES), 0);
	assert_memory_equal(got, host, BYTES);
	assert_int_equal(engine_copied(), asked);
	assert_int_equal(cuda_copied(), before);
	assert_int_equal(gpumem_unpin(buf), 0);
	free(host);
}

/* From its middle past its end, at the first copy and later. */
static void memory_pinned_in_part_is_not_pinned(void **state)
{
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	unsigned char *host = aligned_alloc(4096, 8 * MIB);
	uint64_t before = cuda_copied();

	assert_non_null(host);
	assert_int_equal(register_host(host, 4 * MIB), 0);
	there_and_back(buf, host + 2 * MIB, NULL);
	there_and_back(buf, host + 4 * MIB - 4096, NULL);
	assert_int_equal(cuda_copied(), before);
	there_and_back(buf, host, NULL);
	there_and_back(buf, host + 4 * MIB - BYTES, NULL);
	there_and_back(buf, host + 4 * MIB - BYTES + 1, NULL);
	there_and_back(buf, host + 2 * MIB, NULL);
	there_and_back(buf, host + 4 * MIB, NULL);
	assert_int_equal(cuda_copied(), before);
	assert_int_equal(unregister_host(host), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
	free(host);
}

/* Returns the jobs that the courier did. */
static uint64_t read_once(struct gpumem_buf *buf, unsigned char *host,
			  size_t length, uint64_t *copies)
{
	struct gpumem_sim_info before, info;

	assert_int_equal(unit_cuda.sim_info(&before), 0);
	memset(host, 0, length);
	assert_int_equal(gpumem_read(buf, 0, host, length), 0);
	assert_memory_equal(host, pattern, length);
	info = jobs_since(&before);
	*copies = info.copies - before.copies;
	return info.jobs;
}

/* After a pause, which outlives a courier. */
static uint64_t read_after_pause(struct gpumem_buf *buf, unsigned char *host,
				 size_t length, uint64_t *copies)
{
	end_kernels();
	clock_move(GM_SM_LAUNCH_IDLE_MAX * IDLE_US * CLOCK_US);
	return read_once(buf, host, length, copies);
}

/*
 * A read after a pause goes without the courier, one right after another starts
 * it; a long one into memory that is not pinned in any case.
 */
static void isolated_reads_start_no_courier(void **state)
{
	static const size_t sizes[] = { 4000, 9000, 60000 };
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	unsigned char *host = aligned_alloc(65536, 4 * MIB);
	uint64_t copies;

	assert_non_null(host);
	unit_fill(pattern, BYTES, 78);
	assert_int_equal(unit_cuda.to_device(addr, pattern, BYTES), 0);
	for (unsigned int i = 0; i < 6; i++) {
		size_t length = sizes[i % 3];
		bool pinned = i >= 3;

		end_kernels();
		if (i == 3) {
			assert_int_equal(register_host(host, 4 * MIB), 0);
			/* Once it is taken for what it was. */
			read_after_pause(buf, host, 600000, &copies);
		}
		for (int k = 0; k < 3; k++) {
			assert_int_equal(read_after_pause(buf, host, length,
							  &copies),
					 0);
			assert_int_equal(copies, length > 6144);
		}
		/* The last of them was right now. */
		for (int k = 0; k < 20; k++) {
			assert_int_equal(read_once(buf, host, length, &copies),
					 1);
			assert_int_equal(copies, 0);
		}
		/* A kernel that runs still is used after a pause too. */
		clock_move(IDLE_US * CLOCK_US / 2);
		assert_int_equal(read_once(buf, host, length, &copies), 1);
		assert_int_equal(read_after_pause(buf, host, 600000, &copies),
				 !pinned);
		assert_int_equal(copies, pinned);
	}
	assert_int_equal(unregister_host(host), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
	free(host);
}

/* Starts that served a read or two cost what waits for the GPU: fewer and fewer. */
static void starts_in_vain_become_rare(void **state)
{
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	unsigned char *host = aligned_alloc(65536, 4 * MIB);
	unsigned int jobs = 0, late = 0;
	uint64_t copies;

	assert_non_null(host);
	unit_fill(pattern, BYTES, 78);
	assert_int_equal(unit_cuda.to_device(addr, pattern, BYTES), 0);
	/* A kernel of the program's own, of less than the idle time, and a read. */
	for (int i = 0; i < 2000; i++) {
		unsigned int job;

		end_kernels();
		clock_move(IDLE_US * CLOCK_US / 2);
		job = (unsigned int)read_once(buf, host, 20000, &copies);
		jobs += job;
		late += i >= 1000 ? job : 0;
	}
	assert_in_range(jobs, 2, 20);
	assert_in_range(late, 0, 2);
	/* Reads in a row have it again before long. */
	for (int i = 0; i < 100; i++)
		jobs = (unsigned int)read_once(buf, host, 20000, &copies);
	assert_int_equal(jobs, 1);
	assert_int_equal(gpumem_unpin(buf), 0);
	end_kernels();
	unit_free(addr);
	free(host);
}

static CUresult (*query_really)(unsigned int count,
				CUpointer_attribute *attributes, void **values,
				CUdeviceptr addr);
static uint64_t query_ns, queries;

static CUresult query_for_long(unsigned int count,
			       CUpointer_attribute *attributes, void **values,
			       CUdeviceptr addr)
{
	queries++;
	clock_move(query_ns);
	return query_really(count, attributes, values, addr);
}

/* Whether it took a call of CUDA's. */
static bool read_asks(struct gpumem_buf *buf, unsigned char *host,
		      size_t length)
{
	struct gpumem_sim_info before, info;
	const uint64_t asked = queries;

	assert_int_equal(unit_cuda.sim_info(&before), 0);
	memset(host, 0, length);
	assert_int_equal(gpumem_read(buf, 0, host, length), 0);
	assert_memory_equal(host, pattern, length);
	info = jobs_since(&before);
	if (queries == asked)
		assert_int_equal(info.copies, before.copies);
	return queries != asked || info.jobs;
}

/*
 * A thread that allocates and frees without a pause keeps CUDA's lock: what one call
 * takes is then more than the whole read takes through the mapping.
 */
static void long_reads_keep_from_cuda_where_it_holds_them_up(void **state)
{
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	unsigned char *host = aligned_alloc(65536, 4 * MIB);
	struct gm_session *session;
	void *object;

	assert_non_null(host);
	unit_fill(pattern, BYTES, 79);
	assert_int_equal(unit_cuda.to_device(addr, pattern, BYTES), 0);
	assert_int_equal(gm_handle_get(GM_KIND_SESSION, unit_session, "test",
				       &object),
			 0);
	gm_handle_put(unit_session);
	session = object;
	query_really = session->cuda.pointer_get_all;
	session->cuda.pointer_get_all = query_for_long;
	session->cuda.simulated = false;
	assert_int_equal(register_host(host, 4 * MIB), 0);

	query_ns = 10 * CLOCK_MS;
	assert_true(read_asks(buf, host, MIB));
	assert_true(read_asks(buf, host, MIB));
	query_ns = 50 * CLOCK_MS;
	assert_true(read_asks(buf, host, MIB));
	/* For twenty times as long. */
	query_ns = 0;
	assert_false(read_asks(buf, host, MIB));
	assert_false(read_asks(buf, host, 600000));
	assert_true(read_asks(buf, host, 500000));
	clock_move(990 * CLOCK_MS);
	assert_false(read_asks(buf, host, MIB));
	clock_move(11 * CLOCK_MS);
	assert_true(read_asks(buf, host, MIB));
	/* Not for ever. */
	query_ns = 1000 * CLOCK_MS;
	assert_true(read_asks(buf, host, MIB));
	query_ns = 0;
	clock_move(1990 * CLOCK_MS);
	assert_false(read_asks(buf, host, MIB));
	clock_move(11 * CLOCK_MS);
	assert_true(read_asks(buf, host, MIB));

	/* The mapping is taken as long as it is quicker. */
	query_ns = 50 * CLOCK_MS;
	assert_true(read_asks(buf, host, MIB));
	query_ns = 0;
	session->copier->held_up_ns_kib = 0;
	assert_false(read_asks(buf, host, MIB));
	assert_true(read_asks(buf, host, MIB));

	session->cuda.simulated = true;
	session->cuda.pointer_get_all = query_really;
	assert_int_equal(unregister_host(host), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
	free(host);
}

/* A read of memory that was pinned since the last one goes on as it began. */
static void memory_that_was_pinned_since_is_noticed(void **state)
{
	const struct gpumem_copy_options by_courier = {
		.size = sizeof(by_courier), .method = GPUMEM_COPY_COURIER
	};
	static const struct gpumem_plan_step steps[] = {
		{ GPUMEM_COPY_READ, GPUMEM_COPY_COURIER, 1, 0, 80000 },
		{ GPUMEM_COPY_READ, GPUMEM_COPY_CPU, 1, 0, UINT64_MAX },
		{ GPUMEM_COPY_PINNED | GPUMEM_COPY_READ, GPUMEM_COPY_CPU, 1, 0,
		  UINT64_MAX },
	};
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	unsigned char *host = aligned_alloc(65536, 4 * MIB);

	assert_non_null(host);
	unit_fill(pattern, BYTES, 77);
	assert_int_equal(unit_cuda.to_device(addr, pattern, BYTES), 0);
	for (int i = 0; i < 3; i++)
		read_by_courier(buf, host, 100000, 1, 1);
	assert_int_equal(register_host(host, 4 * MIB), 0);
	read_by_courier(buf, host, 100000, 1, 1);
	read_by_courier(buf, host, 100000, 1, 0);
	assert_int_equal(unregister_host(host), 0);
	read_by_courier(buf, host, 100000, 1, 1);
	/* A neighbour is looked at itself, as is what takes another's place. */
	assert_int_equal(register_host(host + 65536, 65536), 0);
	read_by_courier(buf, host + 65536, 50000, 1, 0);
	read_by_courier(buf, host, 50000, 1, 1);
	assert_int_equal(unregister_host(host + 65536), 0);
	for (int i = 0; i < 80; i++)
		read_by_courier(buf, host + i % 40 * 65536, 40000 + i, 1, 1);
	/* Short ones are staged whatever the memory is. */
	assert_int_equal(register_host(host, 4 * MIB), 0);
	read_by_courier(buf, host, 20000, 1, 1);
	read_by_courier(buf, host + 65536, 300000, 1, 1);
	read_by_courier(buf, host + 65536, 300000, 1, 0);
	/* It is a guess for who leaves it to the plan. */
	assert_int_equal(unregister_host(host), 0);
	read_by_courier(buf, host, 100000, 1, 1);
	assert_int_equal(register_host(host, 4 * MIB), 0);
	assert_int_equal(gpumem_read_with(buf, 0, host, 100000, &by_courier),
			 0);
	assert_memory_equal(host, pattern, 100000);
	assert_int_equal(gpumem_plan_set(unit_session, steps, 3, 0), 0);
	read_by_courier(buf, host, 100000, 0, 0);
	assert_int_equal(gpumem_plan_set(unit_session, NULL, 0, 0), 0);
	assert_int_equal(unregister_host(host), 0);
	/* GPU memory that was freed is not the courier's. */
	unit_map(buf);
	read_by_courier(buf, host, 100000, 1, 1);
	end_kernels();
	unit_free(addr);
	read_by_courier(buf, host, 100000, 0, 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	free(host);
}

int main(void)
{
#define IN_TIME(test) \
	cmocka_unit_test_setup_teardown(test, setup, unit_teardown)
#define IN_STOPPED_TIME(test) \
	cmocka_unit_test_setup_teardown(test, stop_time, go_on)
	const struct CMUnitTest tests[] = {
		IN_TIME(memory_that_is_pinned_no_longer_is_noticed),
		IN_STOPPED_TIME(a_copy_of_pinned_memory_is_one_copy),
		IN_TIME(an_engine_that_fails_loses_nothing),
		IN_TIME(a_copy_ends_with_its_flag_or_without),
		IN_TIME(what_was_pinned_is_asked_of_the_plan_too),
		IN_TIME(memory_pinned_in_part_is_not_pinned),
		IN_STOPPED_TIME(isolated_reads_start_no_courier),
		IN_STOPPED_TIME(starts_in_vain_become_rare),
		IN_STOPPED_TIME(
			long_reads_keep_from_cuda_where_it_holds_them_up),
		IN_STOPPED_TIME(memory_that_was_pinned_since_is_noticed),
	};

	return group_run(tests, NULL, NULL);
}
