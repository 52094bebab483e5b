// SPDX-License-Identifier: MIT
/*
 * Whether a mapping shows the right memory, against a fake GPU: an array that
 * CUDA copies from and to, and a mapping of that or of another array.
 */
#include "../../lib/backend/verify.h"
#include "../../lib/base/error.h"
#include "unit.h"

#define ADDR 0x7f0000000000ull
#define BYTES 4096

static unsigned char gpu[BYTES];
static unsigned char other[BYTES];
static CUresult copy_result, push_result;
static unsigned int copies, writes, pinned_copies, landings;
/* Called by each copy out of the GPU, after it. */
static void (*copied)(void);
static unsigned char *landing;

static CUresult fake_copy(void *host, CUdeviceptr addr, size_t bytes,
			  CUstream stream)
{
	unsigned char *to = host;

	copies++;
	pinned_copies += to >= landing && to < landing + 65536;
	if (copy_result)
		return copy_result;
	assert_true(addr >= ADDR && addr + bytes <= ADDR + BYTES);
	memcpy(host, gpu + (addr - ADDR), bytes);
	if (copied)
		copied();
	return CUDA_SUCCESS;
}

static CUresult fake_copy_in(CUdeviceptr addr, const void *host, size_t bytes,
			     CUstream stream)
{
	writes++;
	assert_true(addr >= ADDR && addr + bytes <= ADDR + BYTES);
	memcpy(gpu + (addr - ADDR), host, bytes);
	return CUDA_SUCCESS;
}

static CUresult fake_stream_create(CUstream *stream, unsigned int flags)
{
	assert_int_equal(flags, CU_STREAM_NON_BLOCKING);
	*stream = (CUstream)1;
	return CUDA_SUCCESS;
}

static CUresult fake_stream(CUstream stream)
{
	assert_ptr_equal(stream, (CUstream)1);
	return CUDA_SUCCESS;
}

static CUresult fake_alloc(void **host, size_t bytes, unsigned int flags)
{
	assert_true(bytes <= 65536);
	landings++;
	*host = landing = calloc(1, 65536);
	return *host ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult fake_free(void *host)
{
	landings--;
	free(host);
	return CUDA_SUCCESS;
}

static CUresult fake_current(CUcontext *context)
{
	*context = NULL;
	return CUDA_SUCCESS;
}

static CUresult fake_push(CUcontext context)
{
	assert_ptr_equal(context, (CUcontext)2);
	return push_result;
}

static CUresult fake_error_text(CUresult error, const char **text)
{
	*text = "FAKE";
	return CUDA_SUCCESS;
}

static const struct gm_cuda fake = {
	.copy_to_host = fake_copy,
	.copy_to_device = fake_copy_in,
	.stream_create = fake_stream_create,
	.stream_destroy = fake_stream,
	.stream_synchronize = fake_stream,
	.host_alloc = fake_alloc,
	.host_free = fake_free,
	.ctx_current = fake_current,
	.ctx_push = fake_push,
	.ctx_pop = fake_current,
	.error_name = fake_error_text,
	.error_string = fake_error_text,
};

static struct gm_verifier verifier;

/* Compares bytes of the fake GPU with what is mapped at cpu. */
static int compare(unsigned char *cpu, uint64_t offset, uint64_t length)
{
	const struct gm_verify_view view = {
		.addr = ADDR + offset,
		.cpu = (char *)cpu + offset,
		.length = length,
	};

	copies = writes = 0;
	return gm_verify_compare(&verifier, &view);
}

static int setup(void **state)
{
	unit_fill(gpu, BYTES, 1);
	unit_fill(other, BYTES, 2);
	copy_result = CUDA_SUCCESS;
	copied = NULL;
	return gm_verifier_open(&verifier, &fake, (CUcontext)2);
}

static int teardown(void **state)
{
	gm_verifier_close(&verifier);
	return landings ? -1 : 0;
}

static void equal_memory_is_accepted(void **state)
{
	static const size_t lengths[] = { 1, 63, 64, 65, 128, 1000, BYTES };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		unsigned char before[BYTES];

		memcpy(before, gpu, BYTES);
		assert_int_equal(compare(gpu, BYTES - lengths[i], lengths[i]),
				 0);
		assert_in_range(copies, 1, GM_VERIFY_PLACES);
		assert_int_equal(writes, 0);
		assert_memory_equal(gpu, before, BYTES);
	}
	/* Memory that is all alike too. */
	memset(gpu, 0, BYTES);
	assert_int_equal(compare(gpu, 0, BYTES), 0);
	assert_int_equal(writes, 0);
}

static void other_memory_is_refused(void **state)
{
	unsigned char before[BYTES];

	memcpy(before, other, BYTES);
	unit_expect_error(compare(other, 5, 1000), -EPROTO,
			  "shows other memory", "backend kmod", NULL);
	assert_memory_equal(other, before, BYTES);
	assert_int_equal(writes, 0);
	assert_int_equal(compare(other, 17, 1), -EPROTO);
}

/* Wherever the difference is: at the start, in the middle, at the end. */
static void each_place_counts(void **state)
{
	static const size_t places[] = { 0, 63, (BYTES - 64) / 2, BYTES - 1 };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		memcpy(other, gpu, BYTES);
		assert_int_equal(compare(other, 0, BYTES), 0);
		other[places[i]] ^= 1;
		assert_int_equal(compare(other, 0, BYTES), -EPROTO);
	}
}

static void gpu_counts(void)
{
	for (int i = 0; i < BYTES; i++)
		gpu[i]++;
}

static void changing_memory_is_accepted(void **state)
{
	copied = gpu_counts;
	assert_int_equal(compare(gpu, 0, BYTES), 0);
	assert_int_equal(compare(gpu, 9, 3), 0);
	assert_int_equal(writes, 0);
}

/* It differs in one look, as it changed and changed back. */
static void gpu_blinks(void)
{
	static unsigned int times;

	if (times++)
		return;
	memcpy(other, gpu, BYTES);
}

static void one_difference_is_not_believed(void **state)
{
	/* CUDA's bytes are right from its first copy on only. */
	copied = gpu_blinks;
	assert_int_equal(compare(other, 0, 8), 0);
}

static void a_cuda_error_is_told(void **state)
{
	copy_result = CUDA_ERROR_LAUNCH_FAILED;
	unit_expect_error(compare(gpu, 0, BYTES), -EIO, "CUDA error 719",
			  "cuMemSetAccess", NULL);
	/* No room is lost by it. */
	for (int i = 0; i < 20; i++)
		assert_int_equal(compare(gpu, 0, BYTES), -EIO);
	copy_result = CUDA_SUCCESS;
	pinned_copies = 0;
	assert_int_equal(compare(gpu, 0, BYTES), 0);
	assert_int_equal(pinned_copies, copies);
}

static void without_room_it_copies_all_the_same(void **state)
{
	verifier.taken = 0xff;
	pinned_copies = 0;
	assert_int_equal(compare(gpu, 0, BYTES), 0);
	assert_int_equal(compare(other, 0, BYTES), -EPROTO);
	assert_int_equal(pinned_copies, 0);
	assert_int_equal(verifier.taken, 0xff);
}

static int own(unsigned char *cpu)
{
	const struct gm_verify_view view = {
		.addr = ADDR,
		.cpu = (char *)cpu,
		.length = BYTES,
	};

	copies = writes = 0;
	return gm_verify_own(&verifier, &view);
}

static void own_memory_is_tried_both_ways(void **state)
{
	assert_int_equal(own(gpu), 0);
	assert_int_equal(writes, 2);
	assert_int_equal(copies, 2);
	/* All alike or not: other memory shows. */
	memset(gpu, 0, BYTES);
	memset(other, 0, BYTES);
	assert_int_equal(own(other), -EPROTO);
}

/* CUDA reads what the CPU did not write, though the CPU read what CUDA wrote. */
static CUresult fake_copy_elsewhere(CUdeviceptr addr, const void *host,
				    size_t bytes, CUstream stream)
{
	memcpy(other + (addr - ADDR), host, bytes);
	return fake_copy_in(addr, host, bytes, stream);
}

static void a_mapping_that_stores_elsewhere_is_refused(void **state)
{
	struct gm_cuda cuda = fake;

	cuda.copy_to_device = fake_copy_elsewhere;
	verifier.cuda = &cuda;
	assert_int_equal(own(other), -EPROTO);
	assert_int_equal(copies, 1);
	verifier.cuda = &fake;
}

static void an_error_at_the_own_memory_is_told(void **state)
{
	copy_result = CUDA_ERROR_LAUNCH_FAILED;
	assert_int_equal(own(gpu), -EIO);
}

static void a_hushed_failure_keeps_the_reason(void **state)
{
	gm_error(-EIO, "one: why; do");
	gm_error_hush(true);
	assert_int_equal(gm_error(-EINVAL, "two: why; do"), -EINVAL);
	gm_error_hush(false);
	assert_string_equal(gm_error_text(), "one: why; do");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void without_its_context_it_is_not_opened(void **state)
{
	struct gm_verifier broken;

	copy_result = CUDA_SUCCESS;
	push_result = CUDA_ERROR_INVALID_CONTEXT;
	assert_int_not_equal(gm_verifier_open(&broken, &fake, (CUcontext)2), 0);
	push_result = CUDA_SUCCESS;
	assert_null(broken.stream);
	assert_null(broken.landing);
	assert_int_equal(landings, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(equal_memory_is_accepted),
		TEST(other_memory_is_refused),
		TEST(each_place_counts),
		TEST(changing_memory_is_accepted),
		TEST(one_difference_is_not_believed),
		TEST(a_cuda_error_is_told),
		TEST(without_room_it_copies_all_the_same),
		TEST(own_memory_is_tried_both_ways),
		TEST(a_mapping_that_stores_elsewhere_is_refused),
		TEST(an_error_at_the_own_memory_is_told),
		cmocka_unit_test(a_hushed_failure_keeps_the_reason),
		cmocka_unit_test(without_its_context_it_is_not_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
