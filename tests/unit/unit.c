// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "unit.h"

struct gpumem *unit_session;
struct unit_cuda unit_cuda;

static CUcontext unit_context;
static struct gpumem_sim_info unit_before;

static void unit_symbol(const char *name, void *function)
{
	*(void **)function = gpumem_cuda_symbol(unit_session, name);
	if (!*(void **)function)
		fail_msg("%s: %s", name, gpumem_last_error());
}

static void unit_load_cuda(void)
{
	void (*delay_copies)(bool delay);

	unit_symbol("cuMemAlloc_v2", &unit_cuda.alloc);
	unit_symbol("cuMemAllocManaged", &unit_cuda.alloc_managed);
	unit_symbol("cuMemAllocHost_v2", &unit_cuda.alloc_host);
	unit_symbol("cuMemFree_v2", &unit_cuda.free);
	unit_symbol("cuMemFreeHost", &unit_cuda.free_host);
	unit_symbol("cuMemcpyDtoH_v2", &unit_cuda.to_host);
	unit_symbol("cuMemcpyHtoD_v2", &unit_cuda.to_device);
	unit_symbol("cuMemsetD8_v2", &unit_cuda.set);
	unit_symbol("cuCtxSetCurrent", &unit_cuda.ctx_set);
	unit_symbol("cuCtxGetCurrent", &unit_cuda.ctx_get);
	unit_symbol("cuCtxCreate_v2", &unit_cuda.ctx_create);
	unit_symbol("cuCtxDestroy_v2", &unit_cuda.ctx_destroy);
	unit_symbol("cuDevicePrimaryCtxRetain", &unit_cuda.primary_retain);
	unit_symbol("cuDevicePrimaryCtxRelease_v2", &unit_cuda.primary_release);
	unit_symbol("cuCtxSynchronize", &unit_cuda.synchronize);
	unit_symbol("gpumem_sim_get_info", &unit_cuda.sim_info);
	unit_symbol("gpumem_sim_set_clock", &unit_cuda.sim_set_clock);
	unit_symbol("gpumem_sim_hold_kernels", &unit_cuda.sim_hold_kernels);
	/* A GPU has not done what it was asked for when the call returns. */
	unit_symbol("gpumem_sim_delay_copies", &delay_copies);
	delay_copies(true);
}

int unit_setup(void **state)
{
	struct gpumem_options options = {
		.size = sizeof(options),
		.backend = "sim",
	};

	(void)state;
	if (gpumem_open(&options, &unit_session)) {
		fprintf(stderr, "%s\n", gpumem_last_error());
		return -1;
	}
	unit_load_cuda();
	assert_int_equal(unit_cuda.primary_retain(&unit_context, 0), 0);
	unit_use_context();
	assert_int_equal(unit_cuda.sim_info(&unit_before), 0);
	return 0;
}

int unit_teardown(void **state)
{
	struct gpumem_sim_info after;

	(void)state;
	assert_int_equal(unit_cuda.sim_info(&after), 0);
	assert_int_equal(after.pins, unit_before.pins);
	assert_int_equal(after.memory_used, unit_before.memory_used);
	assert_int_equal(after.bar1_free, unit_before.bar1_free);
	assert_int_equal(unit_cuda.primary_release(0), 0);
	assert_int_equal(gpumem_close(unit_session), 0);
	return 0;
}

void unit_use_context(void)
{
	assert_int_equal(unit_cuda.ctx_set(unit_context), 0);
}

CUdeviceptr unit_alloc(size_t bytes)
{
	CUdeviceptr addr = 0;

	assert_int_equal(unit_cuda.alloc(&addr, bytes), 0);
	return addr;
}

void unit_free(CUdeviceptr addr)
{
	assert_int_equal(unit_cuda.free(addr), 0);
}

struct gpumem_buf *unit_pin(uint64_t addr, uint64_t length)
{
	struct gpumem_buf *buf;

	if (gpumem_pin(unit_session, addr, length, 0, &buf))
		fail_msg("%s", gpumem_last_error());
	return buf;
}

void *unit_map(struct gpumem_buf *buf)
{
	void *addr;

	if (gpumem_map(buf, &addr))
		fail_msg("%s", gpumem_last_error());
	return addr;
}

unsigned int unit_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	unsigned int count = 0;
	char line[512];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		count += strstr(line, "gpumem-simulated-gpu") ||
			 strstr(line, "/dev/gpumem");
	fclose(file);
	return count;
}

void unit_expect_error(int rc, int err, ...)
{
	const char *text;
	va_list args;

	if (rc != err)
		fail_msg("expected %d, got %d: %s", err, rc,
			 gpumem_last_error());
	va_start(args, err);
	while ((text = va_arg(args, const char *)))
		if (!strstr(gpumem_last_error(), text))
			fail_msg("\"%s\" is not in: %s", text,
				 gpumem_last_error());
	va_end(args);
	/* what: why; what to do */
	assert_non_null(strchr(gpumem_last_error(), ':'));
	assert_non_null(strchr(gpumem_last_error(), ';'));
	assert_null(strchr(gpumem_last_error(), '\n'));
}

void unit_fill(void *bytes, size_t length, uint32_t seed)
{
	unsigned char *byte = bytes;
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < length; i++) {
		x = x * 1664525 + 1013904223;
		byte[i] = x >> 24;
	}
}
