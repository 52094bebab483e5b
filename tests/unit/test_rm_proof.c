// SPDX-License-Identifier: MIT
/*
 * The rm backend's proof that a mapping shows the right memory, against a fake
 * GPU: an array that CUDA copies from, and a mapping of that or another array.
 */
#include "../../lib/error.h"
#include "../../lib/rm_mark.h"
#include "../../lib/rm_proof.h"
#include "unit.h"

#define ADDR 0x7f0000000000ull
#define BYTES 4096

static unsigned char gpu[BYTES];
static unsigned char other[BYTES];
static CUresult copy_result;
static unsigned int copies;
static bool gpu_changes;
/* Copies to the GPU that work before one fails; it writes all the same. */
static unsigned int writes_left;

static CUresult fake_copy(void *host, CUdeviceptr addr, size_t bytes,
			  CUstream stream)
{
	copies++;
	if (copy_result)
		return copy_result;
	assert_true(addr >= ADDR && addr + bytes <= ADDR + BYTES);
	memcpy(host, gpu + (addr - ADDR), bytes);
	if (gpu_changes)
		for (int i = 0; i < BYTES; i++)
			gpu[i]++;
	return CUDA_SUCCESS;
}

static CUresult fake_copy_in(CUdeviceptr addr, const void *host, size_t bytes,
			     CUstream stream)
{
	assert_true(addr >= ADDR && addr + bytes <= ADDR + BYTES);
	memcpy(gpu + (addr - ADDR), host, bytes);
	if (!writes_left)
		return CUDA_ERROR_LAUNCH_FAILED;
	writes_left--;
	return CUDA_SUCCESS;
}

static CUresult fake_synchronize(CUstream stream)
{
	return CUDA_SUCCESS;
}

static CUresult fake_error_text(CUresult error, const char **text)
{
	*text = "FAKE";
	return CUDA_SUCCESS;
}

static const struct gm_cuda fake = {
	.copy_to_host = fake_copy,
	.copy_to_device = fake_copy_in,
	.stream_synchronize = fake_synchronize,
	.error_name = fake_error_text,
	.error_string = fake_error_text,
};

/* Proves a pin of the fake GPU's memory that is mapped at cpu. */
static int prove(unsigned char *cpu, uint64_t offset, uint64_t length,
		 uint64_t alloc_offset, uint64_t alloc_length, bool may_write)
{
	struct gm_range range = {
		.addr = ADDR + offset,
		.length = length,
		.alloc_addr = ADDR + alloc_offset,
		.alloc_length = alloc_length,
	};
	struct gm_rm_suspect suspect = {
		.cuda = &fake,
		.range = &range,
		.cpu = (char *)cpu,
		.addr = ADDR,
		.length = BYTES,
		.may_write = may_write,
	};

	copies = 0;
	return gm_rm_prove(&suspect);
}

static int reset(void **state)
{
	unit_fill(gpu, BYTES, 1);
	unit_fill(other, BYTES, 2);
	copy_result = CUDA_SUCCESS;
	gpu_changes = false;
	writes_left = 100;
	return 0;
}

static void varied_bytes_prove_by_themselves(void **state)
{
	unsigned char before[BYTES];

	memcpy(before, gpu, BYTES);
	assert_int_equal(prove(gpu, 5, 1000, 0, BYTES, false), 0);
	assert_int_equal(copies, 1);
	assert_memory_equal(gpu, before, BYTES);
}

static void other_memory_is_refused(void **state)
{
	unsigned char before[BYTES];

	memcpy(before, other, BYTES);
	unit_expect_error(prove(other, 5, 1000, 0, BYTES, true), -EPROTO,
			  "shows other memory", "backend kmod", NULL);
	assert_memory_equal(other, before, BYTES);
}

static void equal_bytes_need_a_trial_write(void **state)
{
	unsigned char zero[BYTES] = { 0 };

	memset(gpu, 0, BYTES);
	unit_expect_error(prove(gpu, 0, BYTES, 0, BYTES, false), -EAGAIN,
			  "cannot prove", "GPUMEM_PIN_NO_TRIAL_WRITE", NULL);
	assert_memory_equal(gpu, zero, BYTES);
	assert_int_equal(prove(gpu, 0, BYTES, 0, BYTES, true), 0);
	assert_int_equal(copies, 2);
	assert_memory_equal(gpu, zero, BYTES);
}

static void a_trial_write_finds_other_memory_and_puts_it_back(void **state)
{
	unsigned char zero[BYTES] = { 0 };

	memset(gpu, 0, BYTES);
	memset(other, 0, BYTES);
	unit_expect_error(prove(other, 100, 1, 0, BYTES, true), -EPROTO,
			  "shows other memory", NULL);
	assert_memory_equal(gpu, zero, BYTES);
	assert_memory_equal(other, zero, BYTES);
}

static void proofs_stay_inside_the_allocation(void **state)
{
	for (size_t size = 1; size <= 80; size++) {
		unsigned char before[BYTES];

		memset(gpu, 0, BYTES);
		memset(gpu + 512 + size, 0xee, BYTES - 512 - size);
		memset(gpu, 0xdd, 512);
		memcpy(before, gpu, BYTES);
		/* The last byte of an allocation of that size. */
		assert_int_equal(prove(gpu, 512 + size - 1, 1, 512, size, true),
				 0);
		assert_memory_equal(gpu, before, BYTES);
		memset(other, 0, BYTES);
		assert_int_equal(prove(other, 512 + size - 1, 1, 512, size,
				       true),
				 -EPROTO);
	}
}

static void memory_that_keeps_changing_is_not_taken_for_wrong(void **state)
{
	gpu_changes = true;
	/* Each copy changes what the next look sees. */
	memset(gpu, 0, BYTES);
	assert_int_equal(prove(gpu, 0, BYTES, 0, BYTES, false), -EAGAIN);
}

static void a_cuda_error_is_no_proof(void **state)
{
	copy_result = CUDA_ERROR_LAUNCH_FAILED;
	unit_expect_error(prove(gpu, 0, BYTES, 0, BYTES, true), -EIO,
			  "CUDA error 719", NULL);
}

static void proofs_are_remembered_until_the_buffer_changes(void **state)
{
	static struct gm_rm_proofs proofs = {
		.lock = PTHREAD_MUTEX_INITIALIZER
	};
	struct gm_rm_place place = { 0xc1d00001, 7, 1 << 21, 512 }, moved;

	assert_false(gm_rm_proofs_have(&proofs, 5, ADDR, &place));
	gm_rm_proofs_add(&proofs, 5, ADDR, &place);
	assert_true(gm_rm_proofs_have(&proofs, 5, ADDR, &place));
	assert_false(gm_rm_proofs_have(&proofs, 6, ADDR, &place));
	assert_false(gm_rm_proofs_have(&proofs, 5, ADDR + 512, &place));
	moved = place;
	moved.object = 8;
	assert_false(gm_rm_proofs_have(&proofs, 5, ADDR, &moved));
	moved = place;
	moved.offset = 1024;
	assert_false(gm_rm_proofs_have(&proofs, 5, ADDR, &moved));
	gm_rm_proofs_add(&proofs, 5 + GM_RM_PROOFS, ADDR, &place);
	assert_false(gm_rm_proofs_have(&proofs, 5, ADDR, &place));
	/* Memory without an id is never taken as proven. */
	gm_rm_proofs_add(&proofs, 0, ADDR, &place);
	assert_false(gm_rm_proofs_have(&proofs, 0, ADDR, &place));
}

static struct gm_rm_mark mark_of(uint64_t offset)
{
	return (struct gm_rm_mark){ .cuda = &fake, .addr = ADDR + offset };
}

static void a_mark_is_there_for_a_moment(void **state)
{
	struct gm_rm_mark mark = mark_of(100);
	unsigned char before[BYTES], first[GM_RM_NONCE];

	memcpy(before, gpu, BYTES);
	assert_int_equal(gm_rm_mark_set(&mark), 0);
	assert_memory_equal(gpu + 100, mark.bytes, GM_RM_NONCE);
	assert_memory_not_equal(mark.bytes, before + 100, GM_RM_NONCE);
	memcpy(first, mark.bytes, GM_RM_NONCE);
	assert_int_equal(gm_rm_mark_change(&mark), 0);
	assert_memory_equal(gpu + 100, mark.bytes, GM_RM_NONCE);
	assert_memory_not_equal(mark.bytes, first, GM_RM_NONCE);
	assert_memory_equal(gpu, before, 100);
	assert_memory_equal(gpu + 100 + GM_RM_NONCE, before + 100 + GM_RM_NONCE,
			    BYTES - 100 - GM_RM_NONCE);
	assert_int_equal(gm_rm_mark_clear(&mark), 0);
	assert_memory_equal(gpu, before, BYTES);
}

static void a_mark_that_fails_is_put_back(void **state)
{
	struct gm_rm_mark mark = mark_of(BYTES - GM_RM_NONCE);
	unsigned char before[BYTES];

	memcpy(before, gpu, BYTES);
	for (int i = 0; i < 2; i++) {
		writes_left = 0;
		unit_expect_error(gm_rm_mark_set(&mark), -EIO, "CUDA error 719",
				  "cuMemSetAccess", NULL);
		assert_memory_equal(gpu, before, BYTES);
	}
	copy_result = CUDA_ERROR_LAUNCH_FAILED;
	writes_left = 100;
	unit_expect_error(gm_rm_mark_set(&mark), -EIO, "CUDA error 719", NULL);
	assert_int_equal(writes_left, 100);
	copy_result = CUDA_SUCCESS;
	/* The next one is not kept out for ever. */
	assert_int_equal(gm_rm_mark_set(&mark), 0);
	assert_int_equal(gm_rm_mark_clear(&mark), 0);
	assert_memory_equal(gpu, before, BYTES);
}

static void a_hushed_failure_keeps_the_reason(void **state)
{
	gm_error(-EIO, "one: why; do");
	gm_error_hush(true);
	assert_int_equal(gm_error(-EINVAL, "two: why; do"), -EINVAL);
	gm_error_hush(false);
	assert_string_equal(gm_error_text(), "one: why; do");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(varied_bytes_prove_by_themselves, reset),
		cmocka_unit_test_setup(other_memory_is_refused, reset),
		cmocka_unit_test_setup(equal_bytes_need_a_trial_write, reset),
		cmocka_unit_test_setup(
			a_trial_write_finds_other_memory_and_puts_it_back,
			reset),
		cmocka_unit_test_setup(proofs_stay_inside_the_allocation,
				       reset),
		cmocka_unit_test_setup(
			memory_that_keeps_changing_is_not_taken_for_wrong,
			reset),
		cmocka_unit_test_setup(a_cuda_error_is_no_proof, reset),
		cmocka_unit_test(
			proofs_are_remembered_until_the_buffer_changes),
		cmocka_unit_test_setup(a_mark_is_there_for_a_moment, reset),
		cmocka_unit_test_setup(a_mark_that_fails_is_put_back, reset),
		cmocka_unit_test(a_hushed_failure_keeps_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
