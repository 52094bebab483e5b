// SPDX-License-Identifier: MIT
/* The ways of a copy that are asked for by name, batches, and order. */
#include "unit.h"

#define BYTES (3 * MIB + 12345)

static unsigned char pattern[BYTES], got[BYTES];

static const struct gpumem_copy_options by_engine = {
	.size = sizeof(by_engine),
	.method = GPUMEM_COPY_ENGINE
};
static const struct gpumem_copy_options by_threads = {
	.size = sizeof(by_threads),
	.method = GPUMEM_COPY_THREADS,
	.threads = 4
};
static const struct gpumem_copy_options by_cpu = { .size = sizeof(by_cpu),
						   .method = GPUMEM_COPY_CPU };

static void write_and_read_by(const struct gpumem_copy_options *options,
			      uint32_t seed)
{
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);

	unit_fill(pattern, BYTES, seed);
	assert_int_equal(gpumem_write_with(buf, 0, pattern, BYTES, options), 0);
	memset(got, 0, BYTES);
	assert_int_equal(unit_cuda.to_host(got, addr, BYTES), 0);
	assert_memory_equal(got, pattern, BYTES);
	memset(got, 0, BYTES);
	assert_int_equal(gpumem_read_with(buf, 5, got + 3, BYTES - 8, options),
			 0);
	assert_memory_equal(got + 3, pattern + 5, BYTES - 8);
	assert_int_equal(got[2], 0);
	assert_int_equal(got[BYTES - 5], 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void every_way_moves_every_byte(void **state)
{
	write_and_read_by(NULL, 1);
	write_and_read_by(&by_cpu, 2);
	write_and_read_by(&by_threads, 3);
	write_and_read_by(&by_engine, 4);
}

static void the_engine_goes_straight_to_pinned_memory(void **state)
{
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	void *host;

	assert_int_equal(unit_cuda.alloc_host(&host, BYTES), 0);
	unit_fill(host, BYTES, 9);
	assert_int_equal(gpumem_write_with(buf, 0, host, BYTES, &by_engine), 0);
	assert_int_equal(unit_cuda.to_host(got, addr, BYTES), 0);
	assert_memory_equal(got, host, BYTES);
	memset(host, 0, BYTES);
	assert_int_equal(gpumem_read_with(buf, 0, host, BYTES, &by_engine), 0);
	assert_memory_equal(got, host, BYTES);
	assert_int_equal(unit_cuda.free_host(host), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void symbol(const char *name, void *function)
{
	*(void **)function = gpumem_cuda_symbol(unit_session, name);
	assert_non_null(*(void **)function);
}

static void set_methods(unsigned int sm_copy, unsigned int copy_engine)
{
	struct gpumem_copy_settings settings = { .size = sizeof(settings) };

	assert_int_equal(gpumem_copy_settings_get(unit_session, &settings), 0);
	settings.courier = sm_copy;
	settings.copy_engine = copy_engine;
	assert_int_equal(gpumem_copy_settings_set(unit_session, &settings), 0);
}

static struct gpumem_sim_info sim_info(void)
{
	struct gpumem_sim_info info;

	assert_int_equal(unit_cuda.sim_info(&info), 0);
	return info;
}

/* Out and back: how many copies the engine did, and how many jobs there were. */
static struct gpumem_sim_info used_by(struct gpumem_buf *buf, void *host,
				      size_t length)
{
	struct gpumem_sim_info before, after;

	unit_fill(host, length, (uint32_t)length);
	unit_fill(pattern, length, (uint32_t)length);
	before = sim_info();
	assert_int_equal(gpumem_write(buf, 0, host, length), 0);
	memset(host, 0, length);
	assert_int_equal(gpumem_read(buf, 0, host, length), 0);
	after = sim_info();
	assert_memory_equal(host, pattern, length);
	after.copies -= before.copies;
	after.jobs -= before.jobs;
	return after;
}

static void without_the_engine_no_copy_is_cudas(void **state)
{
	static const size_t lengths[] = { 4000, 20000, 200000, BYTES };
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	struct gpumem_copy_plan plan = { .size = sizeof(plan) };
	struct gpumem_sim_info info;
	void *pinned;

	assert_int_equal(unit_cuda.alloc_host(&pinned, BYTES), 0);
	assert_int_equal(used_by(buf, pinned, BYTES).copies, 2);
	for (unsigned int sm_copy = 0; sm_copy < 2; sm_copy++) {
		set_methods(sm_copy, 0);
		for (unsigned int i = 0; i < 8; i++) {
			size_t length = lengths[i / 2];

			info = used_by(buf, i % 2 ? pinned : got, length);
			assert_int_equal(info.copies, 0);
			/* A short one is the CPU's, unless a kernel runs. */
			if (!sm_copy)
				assert_int_equal(info.jobs, 0);
			else if (length > 6144)
				assert_true(info.jobs > 0);
		}
		assert_int_equal(gpumem_copy_explain(unit_session, BYTES,
						     GPUMEM_COPY_READ |
							     GPUMEM_COPY_PINNED,
						     &plan),
				 0);
		assert_int_equal(plan.method, sm_copy ? GPUMEM_COPY_COURIER
						      : GPUMEM_COPY_THREADS);
		assert_int_equal(gpumem_copy_explain(unit_session, BYTES,
						     GPUMEM_COPY_PINNED, &plan),
				 0);
		assert_int_equal(plan.method, GPUMEM_COPY_THREADS);
	}
	unit_expect_error(gpumem_read_with(buf, 0, pinned, BYTES, &by_engine),
			  -EOPNOTSUPP, "switched off", "GPUMEM_COPY_ENGINE=1",
			  NULL);
	assert_int_equal(gpumem_copy_prepare(unit_session), 0);
	set_methods(1, 1);
	assert_int_equal(used_by(buf, pinned, BYTES).copies, 2);
	assert_int_equal(unit_cuda.free_host(pinned), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

/* The GPU is not sent to an address that is no longer there. */
static void freed_memory_is_read_through_the_mapping(void **state)
{
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);

	unit_map(buf);
	unit_fill(pattern, BYTES, 5);
	assert_int_equal(gpumem_write(buf, 0, pattern, BYTES), 0);
	unit_free(addr);
	unit_expect_error(gpumem_read_with(buf, 0, got, BYTES, &by_engine),
			  -EOPNOTSUPP, "freed after it was pinned", NULL);
	memset(got, 0, BYTES);
	assert_int_equal(gpumem_read(buf, 0, got, BYTES), 0);
	assert_memory_equal(got, pattern, BYTES);
	assert_int_equal(gpumem_unpin(buf), 0);
}

static void another_context_is_not_the_engines(void **state)
{
	CUcontext primary, other;
	CUdeviceptr addr;
	struct gpumem_buf *buf;

	assert_int_equal(unit_cuda.ctx_get(&primary), 0);
	assert_int_equal(unit_cuda.ctx_create(&other, 0, 0), 0);
	addr = unit_alloc(BYTES);
	assert_int_equal(unit_cuda.ctx_set(primary), 0);
	buf = unit_pin(addr, BYTES);
	unit_fill(pattern, BYTES, 6);
	unit_expect_error(gpumem_write_with(buf, 0, pattern, BYTES, &by_engine),
			  -EOPNOTSUPP, "another context", NULL);
	assert_int_equal(gpumem_write(buf, 0, pattern, BYTES), 0);
	memset(got, 0, BYTES);
	assert_int_equal(gpumem_read(buf, 0, got, BYTES), 0);
	assert_memory_equal(got, pattern, BYTES);
	assert_int_equal(gpumem_unpin(buf), 0);
	assert_int_equal(unit_cuda.ctx_set(other), 0);
	unit_free(addr);
	assert_int_equal(unit_cuda.ctx_destroy(other), 0);
	assert_int_equal(unit_cuda.ctx_set(primary), 0);
}

static void options_are_checked(void **state)
{
	CUdeviceptr addr = unit_alloc(4096);
	struct gpumem_buf *buf = unit_pin(addr, 4096);
	struct gpumem_copy_options bad = by_cpu;

	bad.size = 3;
	unit_expect_error(gpumem_write_with(buf, 0, pattern, 8, &bad), -EINVAL,
			  "size is 3", NULL);
	bad = by_cpu;
	bad.method = 5;
	unit_expect_error(gpumem_read_with(buf, 0, got, 8, &bad), -EINVAL,
			  "method 5", NULL);
	bad = by_cpu;
	bad.flags = GPUMEM_COPY_READ;
	unit_expect_error(gpumem_read_with(buf, 0, got, 8, &bad), -EINVAL,
			  "flags 0x1", NULL);
	bad.flags = GPUMEM_COPY_PINNED | GPUMEM_COPY_PAGEABLE;
	unit_expect_error(gpumem_read_with(buf, 0, got, 8, &bad), -EINVAL,
			  "flags 0x6", NULL);
	bad = by_cpu;
	bad.method = GPUMEM_COPY_COURIER;
	unit_expect_error(gpumem_write_with(buf, 0, pattern, 8, &bad),
			  -EOPNOTSUPP, "reads only", NULL);
	unit_expect_error(gpumem_read_with(buf, 4090, got, 7, &by_cpu), -ERANGE,
			  "pass the end", NULL);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_expect_error(gpumem_read_with(buf, 0, got, 8, &by_cpu), -EBADF,
			  "no live buffer handle", NULL);
	unit_expect_error(gpumem_write_with(buf, 0, pattern, 8, &by_cpu),
			  -EBADF, "no live buffer handle", NULL);
	unit_free(addr);
}

static void batches_move_their_pieces_alone(void **state)
{
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	struct gpumem_piece pieces[100];
	size_t i;

	unit_fill(pattern, BYTES, 7);
	assert_int_equal(unit_cuda.set(addr, 0, BYTES), 0);
	for (i = 0; i < 100; i++)
		pieces[i] = (struct gpumem_piece){ 1 + i * 1000,
						   pattern + i * 1000, i * 7 };
	/* One of them is a large copy. */
	pieces[99].length = 2 * MIB;
	assert_int_equal(gpumem_writev(buf, pieces, 100), 0);
	assert_int_equal(unit_cuda.to_host(got, addr, BYTES), 0);
	for (i = 0; i < 100; i++) {
		assert_memory_equal(got + 1 + i * 1000, pattern + i * 1000,
				    pieces[i].length);
		if (i < 99)
			assert_int_equal(got[1 + i * 1000 + i * 7], 0);
		pieces[i].host = got + i * 1000;
	}
	memset(got, 0, BYTES);
	assert_int_equal(gpumem_readv(buf, pieces, 100), 0);
	for (i = 0; i < 100; i++)
		assert_memory_equal(got + i * 1000, pattern + i * 1000,
				    pieces[i].length);

	/* A bad piece: none is copied. */
	pieces[99].offset = BYTES;
	memset(got, 0, 1000);
	unit_expect_error(gpumem_readv(buf, pieces, 100), -ERANGE, "readv",
			  NULL);
	assert_int_equal(got[7], 0);
	unit_expect_error(gpumem_writev(buf, NULL, 1), -EINVAL, "NULL", NULL);
	assert_int_equal(gpumem_writev(buf, NULL, 0), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void rect_round_trip(struct gpumem_buf *buf, CUdeviceptr addr,
			    const struct gpumem_rect *rect)
{
	size_t host = rect->host_pitch * (rect->height - 1) + rect->width;

	assert_true(host <= BYTES);
	unit_fill(pattern, host, (uint32_t)rect->width);
	assert_int_equal(unit_cuda.set(addr, 0xee, BYTES), 0);
	assert_int_equal(gpumem_write_2d(buf, rect, pattern), 0);
	assert_int_equal(unit_cuda.to_host(got, addr, BYTES), 0);
	for (uint64_t i = 0; i < rect->height; i++) {
		uint64_t at = rect->offset + i * rect->pitch;

		assert_memory_equal(got + at, pattern + i * rect->host_pitch,
				    rect->width);
		if (rect->width < rect->pitch)
			assert_int_equal(got[at + rect->width], 0xee);
	}
	memset(got, 0x11, BYTES);
	assert_int_equal(gpumem_read_2d(buf, rect, got), 0);
	for (uint64_t i = 0; i < rect->height; i++) {
		uint64_t at = i * rect->host_pitch;

		assert_memory_equal(got + at, pattern + at, rect->width);
		if (rect->width < rect->host_pitch && i + 1 < rect->height)
			assert_int_equal(got[at + rect->width], 0x11);
	}
}

static void rectangles_move_their_rows_alone(void **state)
{
	const struct gpumem_rect rects[] = {
		{ 0, 64, 64, 64, 100 },	       { 3, 100, 77, 60, 1000 },
		{ 0, 1 * MIB, 1 * MIB, 5, 3 }, { 1, 600000, 500000, 400000, 5 },
		{ 9, 4096, 4096, 4096, 600 },  { 0, 0, 0, 1000, 1 },
	};
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	struct gpumem_rect bad = { 0, 10, 20, 15, 2 };

	for (size_t i = 0; i < sizeof(rects) / sizeof(rects[0]); i++)
		rect_round_trip(buf, addr, &rects[i]);
	unit_expect_error(gpumem_write_2d(buf, &bad, pattern), -EINVAL,
			  "longer than the pitch", NULL);
	bad = (struct gpumem_rect){ 0, UINT64_MAX / 2, 64, 64, 4 };
	unit_expect_error(gpumem_read_2d(buf, &bad, got), -ERANGE,
			  "pass the end", NULL);
	unit_expect_error(gpumem_read_2d(buf, NULL, got), -EINVAL, "NULL",
			  NULL);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

/* The mapping begins at the page, the rectangle somewhere in it. */
static void rectangles_of_a_buffer_off_a_page(void **state)
{
	const struct gpumem_rect rects[] = {
		{ 0, 64, 64, 60, 100 },
		{ 3, 100, 77, 60, 1000 },
		{ 1, 600000, 500000, 400000, 5 },
		{ 9, 4096, 4096, 4096, 600 },
	};
	CUdeviceptr addr = unit_alloc(BYTES + 8192);
	struct gpumem_buf *buf = unit_pin(addr + 4109, BYTES);

	for (size_t i = 0; i < sizeof(rects) / sizeof(rects[0]); i++)
		rect_round_trip(buf, addr + 4109, &rects[i]);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void a_flag_may_be_the_last_word(void **state)
{
	CUdeviceptr addr = unit_alloc(4096);
	struct gpumem_buf *buf = unit_pin(addr, 4096);
	uint64_t value;
	uint32_t flag;

	/* Not mapped, and by the short way of a mapping. */
	for (int i = 0; i < 4; i++) {
		assert_int_equal(gpumem_doorbell(buf, 4088, 1000 + i, 8), 0);
		assert_int_equal(unit_cuda.to_host(&value, addr + 4088, 8), 0);
		assert_int_equal(value, 1000 + i);
		assert_int_equal(gpumem_doorbell(buf, 4092, i, 4), 0);
		assert_int_equal(unit_cuda.to_host(&flag, addr + 4092, 4), 0);
		assert_int_equal(flag, i);
		unit_expect_error(gpumem_doorbell(buf, 4096, 1, 4), -ERANGE,
				  NULL);
		if (!i)
			unit_map(buf);
	}
	/* Data up to it and from behind it on do not hold it. */
	assert_int_equal(gpumem_publish(buf, 0, pattern, 4092, 4092, 5), 0);
	assert_int_equal(gpumem_consume(buf, 4092, 5, 0, 0, got, 4092), 0);
	assert_memory_equal(got, pattern, 4092);
	assert_int_equal(gpumem_publish(buf, 4, pattern, 4092, 0, 6), 0);
	unit_expect_error(gpumem_publish(buf, 3, pattern, 4092, 0, 6), -EINVAL,
			  "lies in the data", NULL);
	unit_expect_error(gpumem_publish(buf, 0, pattern, 4093, 4092, 6),
			  -EINVAL, "lies in the data", NULL);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void doorbells_are_one_store(void **state)
{
	CUdeviceptr addr = unit_alloc(4096);
	struct gpumem_buf *buf = unit_pin(addr + 4, 4000);
	uint64_t *map = unit_map(buf);
	uint32_t word;

	assert_int_equal(gpumem_doorbell(buf, 4, 0x1122334455667788, 8), 0);
	memcpy(&word, (char *)map + 4, sizeof(word));
	assert_int_equal(word, 0x55667788);
	assert_int_equal(gpumem_doorbell(buf, 0, 0x99aabbcc, 4), 0);
	memcpy(&word, map, sizeof(word));
	assert_int_equal(word, 0x99aabbcc);
	unit_expect_error(gpumem_doorbell(buf, 0, 1, 8), -EINVAL,
			  "no multiple of 8", NULL);
	unit_expect_error(gpumem_doorbell(buf, 2, 1, 4), -EINVAL,
			  "no multiple of 4", NULL);
	unit_expect_error(gpumem_doorbell(buf, 0, 1, 2), -EINVAL, "width is 2",
			  NULL);
	unit_expect_error(gpumem_doorbell(buf, 3998, 1, 4), -ERANGE,
			  "pass the end", NULL);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void publish_and_consume(void **state)
{
	CUdeviceptr addr = unit_alloc(MIB);
	struct gpumem_buf *buf = unit_pin(addr, MIB);
	uint32_t flag;

	unit_fill(pattern, MIB, 8);
	assert_int_equal(gpumem_publish(buf, 64, pattern, 500 * KIB, 0, 77), 0);
	assert_int_equal(unit_cuda.to_host(&flag, addr, sizeof(flag)), 0);
	assert_int_equal(flag, 77);
	memset(got, 0, MIB);
	assert_int_equal(gpumem_consume(buf, 0, 77, 0, 64, got, 500 * KIB), 0);
	assert_memory_equal(got, pattern, 500 * KIB);
	assert_int_equal(gpumem_publish(buf, 0, NULL, 0, 4, 78), 0);
	assert_int_equal(gpumem_consume(buf, 4, 78, 0, 0, NULL, 0), 0);
	unit_expect_error(gpumem_consume(buf, 0, 79, 1000, 64, got, 8),
			  -ETIMEDOUT, "is 77 and not 79", NULL);
	unit_expect_error(gpumem_publish(buf, 64, pattern, 100, 160, 1),
			  -EINVAL, "lies in the data", NULL);
	unit_expect_error(gpumem_publish(buf, 64, pattern, MIB, 0, 1), -ERANGE,
			  "pass the end", NULL);
	unit_expect_error(gpumem_publish(buf, 64, pattern, 8, MIB, 1), -ERANGE,
			  "pass the end", NULL);
	unit_expect_error(gpumem_consume(buf, 2, 1, 0, 64, got, 8), -EINVAL,
			  "no multiple of 4", NULL);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

/* A copy of a buffer that is not mapped leaves it so. */
static void copies_leave_no_mapping(void **state)
{
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	struct gpumem_buf_info info = { .size = sizeof(info) };

	assert_int_equal(gpumem_write(buf, 0, pattern, 100), 0);
	assert_int_equal(gpumem_read_with(buf, 0, got, BYTES, &by_threads), 0);
	assert_int_equal(gpumem_buf_get(buf, &info), 0);
	assert_null(info.cpu);
	unit_map(buf);
	assert_int_equal(gpumem_read(buf, 0, got, 100), 0);
	assert_int_equal(gpumem_buf_get(buf, &info), 0);
	assert_non_null(info.cpu);
	assert_int_equal(gpumem_unmap(buf), 0);
	assert_int_equal(gpumem_buf_get(buf, &info), 0);
	assert_null(info.cpu);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static void batches_leave_no_mapping(void **state)
{
	CUdeviceptr addr = unit_alloc(BYTES);
	struct gpumem_buf *buf = unit_pin(addr, BYTES);
	struct gpumem_piece pieces[] = { { 0, pattern, 100 },
					 { 500, pattern, MIB } };
	struct gpumem_rect rect = { 0, 100, 77, 60, 1000 };
	const unsigned int before = unit_mappings();

	assert_int_equal(gpumem_writev(buf, pieces, 2), 0);
	assert_int_equal(unit_mappings(), before);
	assert_int_equal(gpumem_readv(buf, pieces, 2), 0);
	assert_int_equal(unit_mappings(), before);
	assert_int_equal(gpumem_write_2d(buf, &rect, pattern), 0);
	assert_int_equal(unit_mappings(), before);
	assert_int_equal(gpumem_read_2d(buf, &rect, got), 0);
	assert_int_equal(unit_mappings(), before);
	assert_int_equal(gpumem_publish(buf, 64, pattern, MIB, 0, 1), 0);
	assert_int_equal(unit_mappings(), before);
	assert_int_equal(gpumem_consume(buf, 0, 1, 0, 64, got, MIB), 0);
	assert_int_equal(unit_mappings(), before);
	assert_int_equal(gpumem_doorbell(buf, 0, 1, 4), 0);
	assert_int_equal(unit_mappings(), before);
	assert_int_equal(gpumem_write_with(buf, 0, pattern, BYTES, &by_threads),
			 0);
	assert_int_equal(unit_mappings(), before);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

static const struct gpumem_copy_options by_courier = {
	.size = sizeof(by_courier),
	.method = GPUMEM_COPY_COURIER
};

static void expect_current(CUcontext context)
{
	CUcontext now;

	assert_int_equal(unit_cuda.ctx_get(&now), 0);
	assert_ptr_equal(now, context);
}

static void copy_every_way(struct gpumem_buf *buf, CUcontext context)
{
	const struct gpumem_copy_options *ways[] = { NULL, &by_cpu, &by_threads,
						     &by_engine, &by_courier };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (ways[i] != &by_courier)
			assert_int_equal(gpumem_write_with(buf, 0, pattern,
							   BYTES, ways[i]),
					 0);
		expect_current(context);
		assert_int_equal(gpumem_read_with(buf, 0, got, BYTES, ways[i]),
				 0);
		expect_current(context);
	}
}

/* In a session of its own, which makes there what it copies with. */
static void use_in_context(CUdeviceptr addr, CUcontext context)
{
	void (*break_copies)(uint64_t count) =
		gpumem_cuda_symbol(unit_session, "gpumem_sim_fail_copies");
	struct gpumem *session;
	struct gpumem_buf *buf;

	assert_int_equal(gpumem_open(NULL, &session), 0);
	expect_current(context);
	assert_int_equal(gpumem_pin(session, addr, BYTES, 0, &buf), 0);
	expect_current(context);
	copy_every_way(buf, context);
	break_copies(1);
	assert_true(gpumem_read_with(buf, 0, got, BYTES, &by_engine) < 0);
	break_copies(0);
	expect_current(context);
	assert_int_equal(gpumem_close(session), 0);
	expect_current(context);
}

static void every_way_leaves_the_callers_context(void **state)
{
	CUcontext primary, other, now;
	CUdeviceptr addr;

	assert_int_equal(unit_cuda.ctx_get(&primary), 0);
	assert_int_equal(unit_cuda.ctx_create(&other, 0, 0), 0);
	assert_int_equal(unit_cuda.ctx_set(primary), 0);
	addr = unit_alloc(BYTES);
	assert_int_equal(unit_cuda.ctx_set(other), 0);
	use_in_context(addr, other);
	/* Which takes one off the thread's stack of them. */
	do {
		assert_int_equal(unit_cuda.ctx_set(NULL), 0);
		assert_int_equal(unit_cuda.ctx_get(&now), 0);
	} while (now);
	use_in_context(addr, NULL);
	assert_int_equal(unit_cuda.ctx_destroy(other), 0);
	assert_int_equal(unit_cuda.ctx_set(primary), 0);
	unit_free(addr);
}

/* CUDA unmaps memory of cuMemCreate without waiting for the kernels that read it. */
static void
without_the_engine_no_kernel_reads_what_may_be_unmapped(void **state)
{
	const CUmemAllocationProp prop = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE },
	};
	const CUmemAccessDesc access = {
		.location = { .type = CU_MEM_LOCATION_TYPE_DEVICE },
		.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
	};
	const struct gpumem_copy_options by_kernel = {
		.size = sizeof(by_kernel), .method = GPUMEM_COPY_COURIER
	};
	CUresult (*create)(CUmemGenericAllocationHandle * handle, size_t size,
			   const CUmemAllocationProp *prop,
			   unsigned long long flags);
	CUresult (*reserve)(CUdeviceptr * addr, size_t size, size_t alignment,
			    CUdeviceptr fixed, unsigned long long flags);
	CUresult (*map)(CUdeviceptr addr, size_t size, size_t offset,
			CUmemGenericAllocationHandle handle,
			unsigned long long flags);
	CUresult (*allow)(CUdeviceptr addr, size_t size,
			  const CUmemAccessDesc *desc, size_t count);
	CUresult (*unmap)(CUdeviceptr addr, size_t size);
	CUresult (*release)(CUmemGenericAllocationHandle handle);
	CUmemGenericAllocationHandle handle;
	struct gpumem_sim_info info;
	struct gpumem_buf *buf;
	CUdeviceptr addr;

	symbol("cuMemCreate", &create);
	symbol("cuMemAddressReserve", &reserve);
	symbol("cuMemMap", &map);
	symbol("cuMemSetAccess", &allow);
	symbol("cuMemUnmap", &unmap);
	symbol("cuMemRelease", &release);
	assert_int_equal(create(&handle, 4 * MIB, &prop, 0), 0);
	assert_int_equal(reserve(&addr, 4 * MIB, 0, 0, 0), 0);
	assert_int_equal(map(addr, 4 * MIB, 0, handle, 0), 0);
	assert_int_equal(allow(addr, 4 * MIB, &access, 1), 0);
	buf = unit_pin(addr, BYTES);

	assert_int_equal(gpumem_read_with(buf, 0, got, BYTES, &by_kernel), 0);
	set_methods(1, 0);
	info = used_by(buf, got, BYTES);
	assert_int_equal(info.copies, 0);
	assert_int_equal(info.jobs, 0);
	unit_expect_error(gpumem_read_with(buf, 0, got, BYTES, &by_kernel),
			  -EOPNOTSUPP, "cuMemCreate", "GPUMEM_COPY_CPU", NULL);
	set_methods(1, 1);
	assert_int_equal(gpumem_read_with(buf, 0, got, BYTES, &by_kernel), 0);

	assert_int_equal(gpumem_unpin(buf), 0);
	assert_int_equal(unmap(addr, 4 * MIB), 0);
	assert_int_equal(release(handle), 0);
}

/* The first: nothing but to open a session has been done. */
static void a_session_reads_what_it_has_initialised(void **state)
{
	struct gpumem_sim_info info;

	assert_int_equal(unit_cuda.sim_info(&info), 0);
	assert_true(info.jobs > 0);
	assert_int_equal(info.uninitialised_reads, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_reads_what_it_has_initialised),
		cmocka_unit_test(every_way_moves_every_byte),
		cmocka_unit_test(the_engine_goes_straight_to_pinned_memory),
		cmocka_unit_test(without_the_engine_no_copy_is_cudas),
		cmocka_unit_test(
			without_the_engine_no_kernel_reads_what_may_be_unmapped),
		cmocka_unit_test(freed_memory_is_read_through_the_mapping),
		cmocka_unit_test(another_context_is_not_the_engines),
		cmocka_unit_test(options_are_checked),
		cmocka_unit_test(batches_move_their_pieces_alone),
		cmocka_unit_test(rectangles_move_their_rows_alone),
		cmocka_unit_test(rectangles_of_a_buffer_off_a_page),
		cmocka_unit_test(a_flag_may_be_the_last_word),
		cmocka_unit_test(doorbells_are_one_store),
		cmocka_unit_test(publish_and_consume),
		cmocka_unit_test(copies_leave_no_mapping),
		cmocka_unit_test(batches_leave_no_mapping),
		cmocka_unit_test(every_way_leaves_the_callers_context),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
