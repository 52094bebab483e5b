// SPDX-License-Identifier: MIT
/*
 * Tries every kind of pointer and prints what came of it, a line each:
 *
 *   kind | works
 *   kind | -EOPNOTSUPP: the message, with ADDR for addresses
 *   kind | not here: why CUDA does not give such memory on this machine
 *
 * "works": pinned and mapped, every byte that the CPU stored seen by CUDA, and
 * every byte that CUDA wrote seen by the CPU. Exits 0, or 1 where a pointer was
 * pinned and shows wrong bytes: then the line begins with WRONG.
 *
 *   pointer_kinds [--backend NAME]
 */
#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu.h"
#include "vmm.h"

#define LENGTH 200000ull
#define MIB (1ull << 20)

static bool wrong;

/* One line; a tab or a bar in the text would break the table. */
static void say(const char *kind, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const char *kind, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("%s | ", kind);
	for (const char *c = text; *c;) {
		if (!strncmp(c, "0x", 2)) {
			printf("ADDR");
			for (c += 2; isxdigit((unsigned char)*c); c++)
				;
		} else {
			putchar(*c == '|' || *c == '\t' ? ' ' : *c);
			c++;
		}
	}
	putchar('\n');
	fflush(stdout);
}

static void say_missing(const char *kind, const char *call, int result)
{
	char text[96];

	say(kind, "not here: %s: %s", call,
	    cuda_error(&gpu.cuda, result, text, sizeof(text)));
}

/* Both directions, in the context that is current. */
static enum outcome use(struct gpumem_buf *buf, uint64_t addr, uint64_t length)
{
	void *cpu;

	CHECK_OK(gpumem_map(buf, &cpu));
	pattern_store(cpu, length, 1);
	CHECK_PASSED(pattern_check_gpu(addr, length, 1));
	CHECK_PASSED(pattern_copy_to_gpu(addr, length, 2));
	CHECK_PASSED(pattern_check(cpu, length, 2));
	return PASSED;
}

static void try_used(const char *kind, struct gpumem_buf *buf, uint64_t addr,
		     uint64_t length)
{
	if (use(buf, addr, length) == PASSED) {
		say(kind, "works");
	} else {
		say(kind, "WRONG: %s", test_why);
		wrong = true;
	}
	if (gpumem_unpin(buf))
		say(kind, "WRONG: unpin: %s", gpumem_last_error());
}

static void try_pin(const char *kind, uint64_t addr, uint64_t length)
{
	struct gpumem_buf *buf;
	int rc = gpumem_pin(gpu.session, addr, length, 0, &buf);

	if (rc)
		say(kind, "-%s: %s", strerrorname_np(-rc), gpumem_last_error());
	else
		try_used(kind, buf, addr, length);
}

static void try_alloc(void)
{
	uint64_t addr;
	int result = gpu.cuda.mem_alloc(&addr, 2 * LENGTH);

	if (result) {
		say_missing("cuMemAlloc", "cuMemAlloc", result);
		return;
	}
	try_pin("cuMemAlloc", addr, 2 * LENGTH);
	try_pin("cuMemAlloc, odd offset and length", addr + 4099, LENGTH + 1);
	try_pin("past the end", addr + LENGTH, LENGTH + 8 * MIB);
	gpu.cuda.mem_free(addr);
	try_pin("freed", addr, LENGTH);
	try_pin("never allocated", 0xdead0000beefull << 12, LENGTH);
}

/* As the runtime's memory of a program that has a context of its own. */
static void try_context(void)
{
	static const char kind[] = "cuMemAlloc, another context";
	int (*create)(void **, unsigned int, int) =
		gpu_symbol("cuCtxCreate_v2");
	int (*destroy)(void *) = gpu_symbol("cuCtxDestroy_v2");
	void *context;
	uint64_t addr;
	int result;

	if (!create || !destroy) {
		say(kind, "not here: libcuda has no cuCtxCreate_v2");
		return;
	}
	result = create(&context, 0, gpu.cuda.device);
	if (result) {
		say_missing(kind, "cuCtxCreate", result);
		return;
	}
	result = gpu.cuda.mem_alloc(&addr, LENGTH);
	if (result)
		say_missing(kind, "cuMemAlloc", result);
	else
		try_pin(kind, addr, LENGTH);
	destroy(context);
	gpu.cuda.context_set_current(gpu.cuda.context);
}

static void try_vmm(const char *kind, int handle_type, unsigned int count)
{
	struct vmm vmm = { .count = count };
	int result;

	for (unsigned int i = 0; i < count; i++) {
		vmm.block[i].size = 2 * MIB;
		vmm.block[i].device = gpu.device.ordinal;
	}
	result = vmm_open(gpu.session) ? CUDA_ERROR_NOT_SUPPORTED
				       : vmm_alloc(&vmm, handle_type);
	if (result) {
		say_missing(kind, "cuMemCreate", result);
		return;
	}
	if (count == 1)
		try_pin(kind, vmm.addr + 4099, LENGTH);
	else
		try_pin(kind, vmm.addr + 4099, vmm.size - 5000);
	vmm_free(&vmm);
}

static void try_pool(void)
{
	static const char kind[] = "cuMemAllocAsync";
	int (*alloc)(uint64_t *, size_t, void *) = gpu_symbol(kind);
	uint64_t addr;
	int result;

	result = alloc ? alloc(&addr, LENGTH, NULL) : CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = gpu.cuda.context_synchronize();
	if (result) {
		say_missing(kind, kind, result);
		return;
	}
	try_pin(kind, addr, LENGTH);
	gpu.cuda.mem_free(addr);
}

static void try_managed(void)
{
	static const char kind[] = "cuMemAllocManaged";
	int (*alloc)(uint64_t *, size_t, unsigned int) = gpu_symbol(kind);
	uint64_t addr;
	int result;

	/* CU_MEM_ATTACH_GLOBAL */
	result = alloc ? alloc(&addr, LENGTH, 1) : CUDA_ERROR_NOT_SUPPORTED;
	if (result) {
		say_missing(kind, kind, result);
		return;
	}
	try_pin(kind, addr, LENGTH);
	gpu.cuda.mem_free(addr);
}

static void try_host(void)
{
	int (*alloc)(void **, size_t, unsigned int) =
		gpu_symbol("cuMemHostAlloc");
	int (*release)(void *) = gpu_symbol("cuMemFreeHost");
	int (*lock)(void *, size_t, unsigned int) =
		gpu_symbol("cuMemHostRegister_v2");
	int (*unlock)(void *) = gpu_symbol("cuMemHostUnregister");
	void *host = aligned_alloc(4096, MIB), *locked;
	int result;

	result = alloc && release ? alloc(&locked, LENGTH, 0)
				  : CUDA_ERROR_NOT_SUPPORTED;
	if (result) {
		say_missing("cuMemHostAlloc", "cuMemHostAlloc", result);
	} else {
		try_pin("cuMemHostAlloc", (uintptr_t)locked, LENGTH);
		release(locked);
	}
	if (!host)
		return;
	try_pin("malloc", (uintptr_t)host, LENGTH);
	result = lock && unlock ? lock(host, MIB, 0) : CUDA_ERROR_NOT_SUPPORTED;
	if (result) {
		say_missing("cuMemHostRegister", "cuMemHostRegister", result);
	} else {
		try_pin("cuMemHostRegister", (uintptr_t)host, LENGTH);
		unlock(host);
	}
	free(host);
}

/* Memory of GPU 1 and the session of GPU 0. */
static void try_other_gpu(void)
{
	static const char kind[] = "memory of another GPU";
	int device, result, gpus = 0;
	void *context;
	uint64_t addr;

	if (gpumem_device_count(gpu.session, &gpus) || gpus < 2) {
		say(kind, "not here: this machine has one GPU");
		return;
	}
	result = gpu.cuda.device_get(&device, 1);
	if (!result)
		result = gpu.cuda.context_retain(&context, device);
	if (result) {
		say_missing(kind, "cuDevicePrimaryCtxRetain", result);
		return;
	}
	gpu.cuda.context_set_current(context);
	result = gpu.cuda.mem_alloc(&addr, LENGTH);
	gpu.cuda.context_set_current(gpu.cuda.context);
	if (result) {
		say_missing(kind, "cuMemAlloc", result);
	} else {
		try_pin(kind, addr, LENGTH);
		gpu.cuda.context_set_current(context);
		gpu.cuda.mem_free(addr);
		gpu.cuda.context_set_current(gpu.cuda.context);
	}
	gpu.cuda.context_release(device);
}

static void try_own(void)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem_buf *buf;
	int rc = gpumem_alloc(gpu.session, LENGTH, 0, &buf);

	if (rc) {
		say("gpumem_alloc", "-%s: %s", strerrorname_np(-rc),
		    gpumem_last_error());
		return;
	}
	gpumem_buf_get(buf, &info);
	try_used("gpumem_alloc", buf, info.addr, LENGTH);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ 0 },
	};
	const char *backend = NULL;
	int option, status;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'b')
			return 2;
		backend = optarg;
	}
	status = gpu_open(backend);
	if (status)
		return status;
	try_alloc();
	try_context();
	try_vmm("cuMemCreate, POSIX fd", VMM_FD, 1);
	try_vmm("cuMemCreate, POSIX fd, three side by side", VMM_FD, 3);
	try_vmm("cuMemCreate, no handle type", VMM_NO_HANDLE_TYPE, 1);
	try_pool();
	try_managed();
	try_host();
	try_other_gpu();
	try_own();
	cuda_close(&gpu.cuda);
	if (gpumem_close(gpu.session)) {
		printf("close | WRONG: %s\n", gpumem_last_error());
		wrong = true;
	}
	return wrong;
}
