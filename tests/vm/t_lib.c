// SPDX-License-Identifier: MIT
#include "t_lib.h"

typedef int (*cu_mem_alloc)(uint64_t *, size_t);
typedef int (*cu_mem_free)(uint64_t);
typedef int (*cu_copy_to_host)(void *, uint64_t, size_t);
typedef int (*cu_retain)(void **, int);
typedef int (*cu_set_current)(void *);

static struct {
	cu_mem_alloc alloc;
	cu_mem_free free;
	cu_copy_to_host to_host;
	cu_retain retain;
	cu_set_current set_current;
} cu;

static void lib_find(struct gpumem *session, const char *name, void *function)
{
	void *found = gpumem_cuda_symbol(session, name);

	need(found, "libcuda lacks %s", name);
	memcpy(function, &found, sizeof(found));
}

struct gpumem *t_lib_open(const char *backend)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = backend };
	struct gpumem *session;
	void *context;
	int r = gpumem_open(&options, &session);

	need(!r, "gpumem_open: %s", gpumem_last_error());
	lib_find(session, "cuMemAlloc_v2", &cu.alloc);
	lib_find(session, "cuMemFree_v2", &cu.free);
	lib_find(session, "cuMemcpyDtoH_v2", &cu.to_host);
	lib_find(session, "cuDevicePrimaryCtxRetain", &cu.retain);
	lib_find(session, "cuCtxSetCurrent", &cu.set_current);
	need(!cu.retain(&context, 0) && !cu.set_current(context),
	     "no CUDA context");
	return session;
}

void t_lib_close(struct gpumem *session)
{
	t_lib_ok(gpumem_close(session), "gpumem_close");
}

uint64_t t_lib_alloc(size_t length)
{
	uint64_t addr;
	int r = cu.alloc(&addr, length);

	need(!r, "cuMemAlloc: CUDA error %d", r);
	return addr;
}

void t_lib_free(uint64_t addr)
{
	check_result(cu.free(addr), 0, "cuMemFree");
}

void t_lib_to_host(void *to, uint64_t addr, size_t length)
{
	int r = cu.to_host(to, addr, length);

	need(!r, "cuMemcpyDtoH: CUDA error %d", r);
}

struct gpumem_buf *t_lib_pin(struct gpumem *session, uint64_t addr,
			     uint64_t length, unsigned int flags)
{
	struct gpumem_buf *buf;
	int r = gpumem_pin(session, addr, length, flags, &buf);

	need(!r, "gpumem_pin: %s", gpumem_last_error());
	return buf;
}

struct gpumem_dma *t_lib_dma_map(struct gpumem_buf *buf, const char *peer)
{
	struct gpumem_dma *dma;
	int r = gpumem_dma_map(buf, peer, 0, &dma);

	need(!r, "gpumem_dma_map: %s", gpumem_last_error());
	return dma;
}

void t_lib_ok(int found, const char *what)
{
	check(!found, "%s: %s", what, gpumem_last_error());
}

void t_lib_error(int found, int want, const char *text, const char *what)
{
	check_result(-found, want, "%s", what);
	if (found)
		check(strstr(gpumem_last_error(), text) &&
			      strchr(gpumem_last_error(), ';'),
		      "%s: the reason is \"%s\"", what, gpumem_last_error());
}
