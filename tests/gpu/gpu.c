// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu.h"

struct gpu gpu;

_Thread_local char test_why[512];

enum outcome test_fail(const char *file, int line, const char *format, ...)
{
	const char *name = strrchr(file, '/');
	va_list args;
	int used;

	used = snprintf(test_why, sizeof(test_why),
			"%s:%d: ", name ? name + 1 : file, line);
	va_start(args, format);
	vsnprintf(test_why + used, sizeof(test_why) - used, format, args);
	va_end(args);
	return FAILED;
}

enum outcome test_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(test_why, sizeof(test_why), format, args);
	va_end(args);
	return SKIPPED;
}

void *gpu_symbol(const char *name)
{
	return gpumem_cuda_symbol(gpu.session, name);
}

int gpu_open(const char *backend)
{
	struct gpumem_options options = {
		.size = sizeof(options),
		.backend = backend,
	};

	if (gpumem_open(&options, &gpu.session)) {
		bool any = !access("/dev/nvidiactl", F_OK);

		printf("%s - open the GPU: %s\n", any ? "not ok" : "skip",
		       gpumem_last_error());
		return any ? EXIT_FAILURE : EXIT_SKIPPED;
	}
	gpu.backend = gpumem_backend_name(gpu.session);
	gpu.device.size = sizeof(gpu.device);
	if (gpumem_device_get(gpu.session, -1, &gpu.device)) {
		printf("not ok - describe the GPU: %s\n", gpumem_last_error());
		return EXIT_FAILURE;
	}
	if (gpu.device.flags & GPUMEM_DEVICE_SIMULATED && !backend) {
		printf("skip - open the GPU: there is only a simulated one; "
		       "name it with --backend to test on it\n");
		return EXIT_SKIPPED;
	}
	if (cuda_open(&gpu.cuda, gpu.session, gpu.device.ordinal)) {
		printf("not ok - open CUDA: %s\n", gpu.cuda.why);
		return EXIT_FAILURE;
	}
	printf("# on %s%s, backend %s, uid %d, seed %llu\n", gpu.device.name,
	       gpu.device.flags & GPUMEM_DEVICE_SIMULATED
		       ? " (SIMULATED OR EMULATED: not a real GPU)"
		       : "",
	       gpu.backend, (int)geteuid(), (unsigned long long)gpu.seed);
	return 0;
}

static void pattern_fill(uint8_t *bytes, uint64_t length, uint64_t seed)
{
	for (uint64_t i = 0; i < length; i++)
		bytes[i] = pattern_byte(seed, i);
}

void pattern_store(void *cpu, uint64_t length, uint64_t seed)
{
	pattern_fill(cpu, length, seed);
	atomic_thread_fence(memory_order_seq_cst);
}

enum outcome pattern_copy_to_gpu(uint64_t addr, uint64_t length, uint64_t seed)
{
	uint8_t *bytes = malloc(length);
	int result;

	CHECK(bytes);
	pattern_fill(bytes, length, seed);
	result = gpu.cuda.copy_to_gpu(addr, bytes, length);
	free(bytes);
	CHECK_CUDA(result);
	CHECK_CUDA(gpu.cuda.context_synchronize());
	return PASSED;
}

enum outcome pattern_check(const void *cpu, uint64_t length, uint64_t seed)
{
	const uint8_t *bytes = cpu;

	for (uint64_t i = 0; i < length; i++) {
		uint8_t expected = pattern_byte(seed, i);

		if (bytes[i] != expected)
			return test_fail(__FILE__, __LINE__,
					 "byte %llu of %llu is %02x, not %02x",
					 (unsigned long long)i,
					 (unsigned long long)length, bytes[i],
					 expected);
	}
	return PASSED;
}

enum outcome pattern_check_gpu(uint64_t addr, uint64_t length, uint64_t seed)
{
	uint8_t *bytes = malloc(length);
	enum outcome outcome = FAILED;
	int result;

	CHECK(bytes);
	result = gpu.cuda.copy_from_gpu(bytes, addr, length);
	if (!result)
		outcome = pattern_check(bytes, length, seed);
	free(bytes);
	CHECK_CUDA(result);
	return outcome;
}

enum outcome gpu_check_byte(uint64_t addr, uint64_t length, uint8_t byte)
{
	uint8_t *bytes = malloc(length);
	uint64_t same = 0;
	int result;

	CHECK(bytes);
	result = gpu.cuda.copy_from_gpu(bytes, addr, length);
	while (!result && same < length && bytes[same] == byte)
		same++;
	free(bytes);
	CHECK_CUDA(result);
	if (same < length)
		return test_fail(__FILE__, __LINE__,
				 "byte %llu of %llu was changed",
				 (unsigned long long)same,
				 (unsigned long long)length);
	return PASSED;
}
