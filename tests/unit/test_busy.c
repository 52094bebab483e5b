// SPDX-License-Identifier: MIT
/*
 * A kernel in the null stream that waits for the CPU. What CUDA allocates and
 * loads meanwhile waits for it.
 */
#include <unistd.h>

#include "unit.h"

#define LENGTH (2 * MIB)

static const char image[] = ".version 6.0\n"
			    ".target sm_70\n"
			    ".visible .entry gpumem_sim_spin(\n"
			    ")\n";

static struct gpumem_buf *flag;
static volatile uint64_t *flag_map;
static unsigned char sent[LENGTH], got[LENGTH];

static void symbol(const char *name, void *function)
{
	*(void **)function = gpumem_cuda_symbol(unit_session, name);
	assert_non_null(*(void **)function);
}

static void spin_start(void)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	CUresult (*load)(CUmodule * module, const void *image);
	CUresult (*find)(CUfunction * function, CUmodule module,
			 const char *name);
	CUresult (*launch)(CUfunction function, unsigned int grid_x,
			   unsigned int grid_y, unsigned int grid_z,
			   unsigned int block_x, unsigned int block_y,
			   unsigned int block_z, unsigned int shared_bytes,
			   CUstream stream, void **parameters, void **extra);
	void *parameters[1];
	CUfunction function;
	CUmodule module;

	symbol("cuModuleLoadData", &load);
	symbol("cuModuleGetFunction", &find);
	symbol("cuLaunchKernel", &launch);
	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &flag), 0);
	flag_map = unit_map(flag);
	*flag_map = 0;
	assert_int_equal(gpumem_buf_get(flag, &info), 0);
	assert_int_equal(load(&module, image), 0);
	assert_int_equal(find(&function, module, "gpumem_sim_spin"), 0);
	parameters[0] = &info.addr;
	assert_int_equal(launch(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters,
				NULL),
			 0);
}

static void spin_end(void)
{
	CUresult (*synchronize)(CUstream stream);

	symbol("cuStreamSynchronize", &synchronize);
	*flag_map = 1;
	assert_int_equal(synchronize(NULL), 0);
	assert_int_equal(gpumem_unpin(flag), 0);
}

static void expect_copies(struct gpumem_buf *buf)
{
	unit_fill(sent, LENGTH, 5);
	memset(got, 0, LENGTH);
	assert_int_equal(gpumem_write(buf, 0, sent, LENGTH), 0);
	assert_int_equal(gpumem_read(buf, 0, got, LENGTH), 0);
	assert_memory_equal(got, sent, LENGTH);
}

static int read_by(struct gpumem_buf *buf, unsigned int method)
{
	struct gpumem_copy_options options = { .size = sizeof(options),
					       .method = method };

	return gpumem_read_with(buf, 0, got, LENGTH, &options);
}

static void a_session_is_opened_beside_it(void **state)
{
	CUdeviceptr addr = unit_alloc(LENGTH);
	struct gpumem *session;
	struct gpumem_buf *buf;

	spin_start();
	/* Only this test ends the kernel. */
	alarm(60);
	assert_int_equal(gpumem_open(NULL, &session), 0);
	assert_int_equal(gpumem_pin(session, addr, LENGTH, 0, &buf), 0);
	expect_copies(buf);
	unit_expect_error(read_by(buf, GPUMEM_COPY_ENGINE), -EOPNOTSUPP,
			  "null stream", NULL);
	unit_expect_error(read_by(buf, GPUMEM_COPY_COURIER), -EOPNOTSUPP,
			  "null stream", NULL);
	unit_expect_error(gpumem_copy_prepare(session), -EBUSY, "null stream",
			  NULL);
	/* The session that was opened before has all it needs. */
	assert_int_equal(gpumem_copy_prepare(unit_session), 0);

	spin_end();
	/* At once, however short ago it was found busy. */
	assert_int_equal(gpumem_copy_prepare(session), 0);
	assert_int_equal(read_by(buf, GPUMEM_COPY_ENGINE), 0);
	assert_memory_equal(got, sent, LENGTH);
	memset(got, 0, LENGTH);
	assert_int_equal(read_by(buf, GPUMEM_COPY_COURIER), 0);
	assert_memory_equal(got, sent, LENGTH);
	assert_int_equal(gpumem_close(session), 0);
	alarm(0);
	unit_free(addr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_is_opened_beside_it),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
