// SPDX-License-Identifier: MIT
/*
 * A program as they were written for the original /dev/gpumem: it knows CUDA
 * and gpumemioctl.h, nothing else of this project.
 *
 * usage: vm-seed-client [BYTES [BYTES OF OFFSET INTO THE ALLOCATION]]
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gpumemioctl.h"

#define SYNC_MEMOPS 6
#define FIRST_WORD 0x0A000000u

typedef unsigned long long cu_ptr;

struct cuda {
	int (*init)(unsigned int);
	int (*device_get)(int *, int);
	int (*ctx_create)(void **, unsigned int, int);
	int (*ctx_destroy)(void *);
	int (*mem_alloc)(cu_ptr *, size_t);
	int (*mem_free)(cu_ptr);
	int (*pointer_set)(const void *, int, cu_ptr);
	int (*copy_to_host)(void *, cu_ptr, size_t);
};

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static void cu_need(int result, const char *what)
{
	if (result) {
		printf("%s: CUDA error %d\n", what, result);
		exit(1);
	}
}

static void cuda_load(struct cuda *cu)
{
	const struct {
		const char *name;
		void *to;
	} want[] = {
		{ "cuInit", &cu->init },
		{ "cuDeviceGet", &cu->device_get },
		{ "cuCtxCreate_v2", &cu->ctx_create },
		{ "cuCtxDestroy_v2", &cu->ctx_destroy },
		{ "cuMemAlloc_v2", &cu->mem_alloc },
		{ "cuMemFree_v2", &cu->mem_free },
		{ "cuPointerSetAttribute", &cu->pointer_set },
		{ "cuMemcpyDtoH_v2", &cu->copy_to_host },
	};
	void *lib = dlopen("libcuda.so.1", RTLD_NOW);
	size_t i;

	if (!lib) {
		printf("%s\n", dlerror());
		exit(1);
	}
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		void *f = dlsym(lib, want[i].name);

		if (!f) {
			printf("libcuda.so.1 has no %s\n", want[i].name);
			exit(1);
		}
		memcpy(want[i].to, &f, sizeof(f));
	}
}

/* Maps page after page and writes the counter over the whole of them. */
static void pages_write(int fd, const struct gpudma_state_t *state)
{
	size_t words = state->page_size / sizeof(uint32_t);
	size_t i, k;

	for (i = 0; i < state->page_count; i++) {
		volatile uint32_t *p = mmap(NULL, state->page_size,
					    PROT_READ | PROT_WRITE, MAP_SHARED,
					    fd, (off_t)state->pages[i]);

		if (p == MAP_FAILED)
			die("mmap of a page");
		for (k = 0; k < words; k++)
			p[k] = FIRST_WORD + (uint32_t)(i * words + k);
		if (munmap((void *)p, state->page_size))
			die("munmap");
	}
}

int main(int argc, char **argv)
{
	size_t size = argc > 1 ? strtoull(argv[1], NULL, 0) : 1 << 20;
	size_t offset = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
	size_t skip = offset % 65536, i, bad = 0;
	struct gpudma_lock_t lock = { 0 };
	struct gpudma_unlock_t unlock = { 0 };
	struct gpudma_state_t *state;
	unsigned int on = 1;
	struct cuda cu;
	uint32_t *back;
	void *ctx;
	cu_ptr buf;
	int dev, fd;

	cuda_load(&cu);
	cu_need(cu.init(0), "cuInit");
	cu_need(cu.device_get(&dev, 0), "cuDeviceGet");
	cu_need(cu.ctx_create(&ctx, 0, dev), "cuCtxCreate");
	cu_need(cu.mem_alloc(&buf, offset + size), "cuMemAlloc");
	cu_need(cu.pointer_set(&on, SYNC_MEMOPS, buf), "SYNC_MEMOPS");

	fd = open("/dev/" GPUMEM_DRIVER_NAME, O_RDWR);
	if (fd < 0)
		die("open");
	lock.addr = buf + offset;
	lock.size = size;
	if (ioctl(fd, IOCTL_GPUMEM_LOCK, &lock))
		die("LOCK");
	if (!lock.handle || lock.page_count != (skip + size + 65535) / 65536) {
		printf("LOCK gave handle %p and %zu pages\n", lock.handle,
		       lock.page_count);
		return 1;
	}
	state = calloc(1, sizeof(*state) + lock.page_count * sizeof(uint64_t));
	if (!state)
		die("calloc");
	state->handle = lock.handle;
	state->page_count = lock.page_count;
	if (ioctl(fd, IOCTL_GPUMEM_STATE, state))
		die("STATE");
	if (state->page_count != lock.page_count || state->page_size != 65536 ||
	    state->handle != lock.handle) {
		printf("STATE gave %zu pages of %zu bytes\n", state->page_count,
		       state->page_size);
		return 1;
	}
	pages_write(fd, state);

	/* The first page starts at the address rounded down to 64 KiB. */
	back = malloc(size + skip);
	if (!back)
		die("malloc");
	cu_need(cu.copy_to_host(back, buf + offset - skip, size + skip),
		"cuMemcpyDtoH");
	for (i = 0; i < (size + skip) / sizeof(*back); i++) {
		if (back[i] == FIRST_WORD + (uint32_t)i)
			continue;
		printf("word %zu is %#x, expected %#x\n", i, back[i],
		       FIRST_WORD + (uint32_t)i);
		if (++bad == 32)
			break;
	}
	printf(bad ? "Test failed\n" : "Test successful\n");

	unlock.handle = lock.handle;
	if (ioctl(fd, IOCTL_GPUMEM_UNLOCK, &unlock))
		die("UNLOCK");
	close(fd);
	cu_need(cu.mem_free(buf), "cuMemFree");
	cu_need(cu.ctx_destroy(ctx), "cuCtxDestroy");
	free(back);
	free(state);
	return bad ? 1 : 0;
}
