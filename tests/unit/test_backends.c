// SPDX-License-Identifier: MIT
/*
 * Backends of the test's own in the places of the library's: which one is chosen,
 * and DMA mappings, which the simulated GPU has not.
 */
#include <stdio.h>

#include "../../lib/backends.h"
#include "../../lib/base/error.h"
#include "unit.h"

#define RUNS 5u
#define RUN_LENGTH 65536u

/* The linker puts these in the places of the library's. */
const struct gm_backend_ops *__wrap_gm_backend_at(unsigned int index);
bool __wrap_gm_backend_no_gpu(void);
int __wrap_gm_backend_find(const char *name, const struct gm_backend_ops **ops);
int __real_gm_backend_find(const char *name, const struct gm_backend_ops **ops);

/* Tried in this order, with the simulated one behind them. */
static struct gm_backend_ops first, second;
static int first_status, second_status, alive_status;
static bool no_gpu;
static unsigned int opened, dma_mapped, dma_unmapped;

const struct gm_backend_ops *__wrap_gm_backend_at(unsigned int index)
{
	const struct gm_backend_ops *list[] = { &first, &second,
						&gm_backend_sim };

	return index < 3 ? list[index] : NULL;
}

int __wrap_gm_backend_find(const char *name, const struct gm_backend_ops **ops)
{
	if (strcmp(name, first.name))
		return __real_gm_backend_find(name, ops);
	*ops = &first;
	return 0;
}

bool __wrap_gm_backend_no_gpu(void)
{
	return no_gpu;
}

static int first_probe(char *reason, size_t size)
{
	snprintf(reason, size, "the first has its reason; mend it");
	return first_status;
}

static int second_probe(char *reason, size_t size)
{
	snprintf(reason, size, "the second has another; mend it");
	return second_status;
}

static int open_in_vain(struct gm_session *session)
{
	opened++;
	return gm_error(-EIO, "open: the first cannot; use another");
}

/* The same libcuda by another function: one is not taken for the other's. */
static int load_again(struct gm_cuda *cuda)
{
	return gm_backend_sim.load_cuda(cuda);
}

/* How often the GPU's primary context is held. */
static CUresult (*real_retain)(CUcontext *context, CUdevice device);
static CUresult (*real_release)(CUdevice device);
static int retained;

static CUresult count_retain(CUcontext *context, CUdevice device)
{
	retained++;
	return real_retain(context, device);
}

static CUresult count_release(CUdevice device)
{
	retained--;
	return real_release(device);
}

static int load_counted(struct gm_cuda *cuda)
{
	int rc = gm_backend_sim.load_cuda(cuda);

	if (rc)
		return rc;
	real_retain = cuda->primary_retain;
	real_release = cuda->primary_release;
	cuda->primary_retain = count_retain;
	cuda->primary_release = count_release;
	return 0;
}

/* As the kernel tells of memory that it may take back. */
static int alive(struct gm_buf *buf)
{
	return alive_status;
}

static int dma_map(struct gm_dma *dma)
{
	dma_mapped++;
	dma->page_size = RUN_LENGTH;
	dma->run_count = RUNS;
	return 0;
}

static void dma_unmap(struct gm_dma *dma)
{
	dma_unmapped++;
}

static int dma_runs(struct gm_dma *dma, uint64_t from, struct gpumem_run *runs,
		    size_t count)
{
	for (size_t i = 0; i < count; i++)
		runs[i] = (struct gpumem_run){
			.addr = (from + i) * 2 * RUN_LENGTH,
			.length = RUN_LENGTH,
		};
	return 0;
}

static int renew(void **state)
{
	first = gm_backend_sim;
	first.name = "first";
	first.probe = first_probe;
	first.dma_map = dma_map;
	first.dma_unmap = dma_unmap;
	first.dma_runs = dma_runs;
	second = gm_backend_sim;
	second.name = "second";
	second.probe = second_probe;
	first_status = second_status = alive_status = 0;
	no_gpu = true;
	unsetenv("GPUMEM_BACKEND");
	opened = dma_mapped = dma_unmapped = 0;
	return 0;
}

static void expect_chosen(const char *name)
{
	struct gpumem *session;

	assert_int_equal(gpumem_open(NULL, &session), 0);
	assert_string_equal(gpumem_backend_name(session), name);
	assert_int_equal(gpumem_close(session), 0);
}

static void the_first_that_can_is_chosen(void **state)
{
	expect_chosen("first");
	first_status = -EACCES;
	expect_chosen("second");
	second_status = -ENODEV;
	expect_chosen("sim");
}

static void one_that_does_not_open_is_passed_over(void **state)
{
	first.open = open_in_vain;
	expect_chosen("second");
	second.load_cuda = load_again;
	expect_chosen("second");
	assert_int_equal(opened, 2);
}

/* Whether another follows with the same libcuda, with its own, or none. */
static void one_that_does_not_open_keeps_no_context(void **state)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "first" };
	struct gpumem *session;

	first.open = open_in_vain;
	first.load_cuda = second.load_cuda = load_counted;
	expect_chosen("second");
	assert_int_equal(retained, 0);
	second.load_cuda = load_again;
	expect_chosen("second");
	assert_int_equal(retained, 0);
	second_status = -ENODEV;
	no_gpu = false;
	unit_expect_error(gpumem_open(NULL, &session), -EIO, "the first cannot",
			  NULL);
	assert_int_equal(retained, 0);
	unit_expect_error(gpumem_open(&options, &session), -EIO,
			  "the first cannot", NULL);
	assert_int_equal(retained, 0);
}

static void expect_told(struct gpumem_buf *buf, int err, const char *why)
{
	char byte = 0;
	void *cpu;

	alive_status = err;
	unit_expect_error(gpumem_map(buf, &cpu), err, why, NULL);
	unit_expect_error(gpumem_write(buf, 0, &byte, 1), err, why, NULL);
	unit_expect_error(gpumem_read(buf, 0, &byte, 1), err, why, NULL);
	unit_expect_error(gpumem_doorbell(buf, 0, 1, 4), err, why, NULL);
	alive_status = 0;
}

/* Every use asks: none goes the short way, which does not. */
static void memory_that_was_taken_back_is_told(void **state)
{
	struct gpumem *session;
	struct gpumem_buf *buf;
	void *cpu;

	first.alive = alive;
	assert_int_equal(gpumem_open(NULL, &session), 0);
	assert_int_equal(gpumem_alloc(session, 4096, 0, &buf), 0);
	assert_int_equal(gpumem_map(buf, &cpu), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(gpumem_write(buf, 0, "a", 1), 0);
	expect_told(buf, -ENODEV, "freed while it was pinned");
	expect_told(buf, -EIO, "the kernel does not tell");
	assert_int_equal(gpumem_write(buf, 0, "b", 1), 0);
	assert_int_equal(gpumem_close(session), 0);
}

/* Nobody takes a simulated GPU for the machine's. */
static void no_simulated_gpu_is_chosen_beside_a_real_one(void **state)
{
	struct gpumem *session;

	no_gpu = false;
	expect_chosen("first");
	first_status = second_status = -ENODEV;
	unit_expect_error(gpumem_open(NULL, &session), -ENODEV,
			  "first: the first has its reason", "second: the",
			  "sim: this machine has an NVIDIA GPU", NULL);
	/* Of several reasons the one that the user can do something about. */
	second_status = -EACCES;
	unit_expect_error(gpumem_open(NULL, &session), -EACCES, "no backend",
			  NULL);
	first_status = -EOPNOTSUPP;
	second_status = -ENODEV;
	unit_expect_error(gpumem_open(NULL, &session), -ENODEV, "no backend",
			  NULL);
}

/* To try another backend would not help. */
static void a_gpu_that_is_not_there_is_said_at_once(void **state)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .device = 9 };
	struct gpumem *session;

	unit_expect_error(gpumem_open(&options, &session), -ENOENT, "no GPU 9",
			  NULL);
}

/* Unless it is named, it is looked for beside the library: here is none. */
static void the_simulated_cuda_may_be_missing(void **state)
{
	struct gpumem_backend backend = { .size = sizeof(backend) };
	char *place = strdup(getenv("GPUMEM_SIM_LIBCUDA"));
	struct gpumem *session;

	first_status = second_status = -ENODEV;
	unsetenv("GPUMEM_SIM_LIBCUDA");
	assert_int_equal(gpumem_backend_get(3, &backend), 0);
	assert_int_equal(backend.status, -ENODEV);
	assert_non_null(strstr(backend.reason, "not beside libgpumem.so"));
	unit_expect_error(gpumem_open(NULL, &session), -ENODEV,
			  "not beside libgpumem.so", NULL);
	setenv("GPUMEM_SIM_LIBCUDA", place, 1);
	free(place);
}

struct mapped {
	struct gpumem *session;
	struct gpumem_buf *buf;
	struct gpumem_dma *dma;
};

static struct mapped map_for_dma(void)
{
	struct mapped mapped;

	assert_int_equal(gpumem_open(NULL, &mapped.session), 0);
	assert_int_equal(gpumem_alloc(mapped.session, 4096, 0, &mapped.buf), 0);
	assert_int_equal(gpumem_dma_map(mapped.buf, "3b:00.0", 0, &mapped.dma),
			 0);
	assert_int_equal(dma_mapped, 1);
	return mapped;
}

static void runs_are_told_from_any_on(void **state)
{
	struct mapped mapped = map_for_dma();
	struct gpumem_run runs[RUNS + 1];
	size_t count;

	for (uint64_t from = 0; from < RUNS; from++) {
		memset(runs, 0xee, sizeof(runs));
		count = RUNS + 1;
		assert_int_equal(
			gpumem_dma_runs(mapped.dma, from, runs, &count), 0);
		assert_int_equal(count, RUNS - from);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(runs[i].addr,
					 (from + i) * 2 * RUN_LENGTH);
		assert_int_equal(runs[count].length, 0xeeeeeeeeeeeeeeee);
	}
	count = 1;
	assert_int_equal(gpumem_dma_runs(mapped.dma, 1, runs, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(runs[1].length, 0xeeeeeeeeeeeeeeee);
	count = 0;
	assert_int_equal(gpumem_dma_runs(mapped.dma, 1, runs, &count), 0);
	assert_int_equal(count, 0);
	unit_expect_error(gpumem_dma_runs(mapped.dma, RUNS, runs, &count),
			  -ERANGE, "no run 5", NULL);
	unit_expect_error(gpumem_dma_runs(mapped.dma, 0, NULL, &count), -EINVAL,
			  "runs is NULL", NULL);
	unit_expect_error(gpumem_dma_runs(mapped.dma, 0, runs, NULL), -EINVAL,
			  "count is NULL", NULL);
	/* No call has kept the handle in use: this would wait for it. */
	assert_int_equal(gpumem_dma_unmap(mapped.dma), 0);
	assert_int_equal(dma_unmapped, 1);
	assert_int_equal(gpumem_close(mapped.session), 0);
}

static void a_dma_mapping_tells_what_it_is(void **state)
{
	struct gpumem_dma_info info = { .size = sizeof(info) };
	struct mapped mapped = map_for_dma();

	assert_int_equal(gpumem_dma_get(mapped.dma, &info), 0);
	assert_int_equal(info.size, sizeof(info));
	assert_int_equal(info.page_size, RUN_LENGTH);
	assert_int_equal(info.run_count, RUNS);
	assert_int_equal(info.length, 4096);
	assert_string_equal(info.peer, "0000:3b:00.0");
	unit_expect_error(gpumem_dma_get(mapped.dma, NULL), -EINVAL, "NULL",
			  NULL);
	info.size--;
	unit_expect_error(gpumem_dma_get(mapped.dma, &info), -EINVAL, "size is",
			  NULL);
	assert_int_equal(gpumem_dma_unmap(mapped.dma), 0);
	unit_expect_error(gpumem_dma_unmap(mapped.dma), -EBADF, NULL);
	assert_int_equal(gpumem_close(mapped.session), 0);
}

/* Before its memory goes. */
static void the_buffers_end_is_its_dma_mappings(void **state)
{
	struct gpumem_dma_info info = { .size = sizeof(info) };
	struct mapped mapped = map_for_dma();
	struct gpumem_dma *more[3];

	for (int i = 0; i < 3; i++)
		assert_int_equal(
			gpumem_dma_map(mapped.buf, "3b:00.1", 0, &more[i]), 0);
	assert_int_equal(gpumem_dma_unmap(more[1]), 0);
	assert_int_equal(dma_unmapped, 1);
	assert_int_equal(gpumem_unpin(mapped.buf), 0);
	assert_int_equal(dma_unmapped, 4);
	unit_expect_error(gpumem_dma_get(more[0], &info), -EBADF, NULL);
	unit_expect_error(gpumem_dma_unmap(mapped.dma), -EBADF, NULL);
	assert_int_equal(gpumem_close(mapped.session), 0);
}

int main(void)
{
	const struct CMUnitTest unloaded[] = {
		cmocka_unit_test_setup(the_simulated_cuda_may_be_missing,
				       renew),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_that_can_is_chosen, renew),
		cmocka_unit_test_setup(one_that_does_not_open_is_passed_over,
				       renew),
		cmocka_unit_test_setup(one_that_does_not_open_keeps_no_context,
				       renew),
		cmocka_unit_test_setup(memory_that_was_taken_back_is_told,
				       renew),
		cmocka_unit_test_setup(
			no_simulated_gpu_is_chosen_beside_a_real_one, renew),
		cmocka_unit_test_setup(a_gpu_that_is_not_there_is_said_at_once,
				       renew),
		cmocka_unit_test_setup(runs_are_told_from_any_on, renew),
		cmocka_unit_test_setup(a_dma_mapping_tells_what_it_is, renew),
		cmocka_unit_test_setup(the_buffers_end_is_its_dma_mappings,
				       renew),
	};

	setenv("GPUMEM_QUIET", "1", 1);
	return group_run(unloaded, NULL, NULL) ||
	       group_run(tests, unit_setup, unit_teardown);
}
