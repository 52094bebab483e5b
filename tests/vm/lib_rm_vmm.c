// SPDX-License-Identifier: MIT
/*
 * Memory of cuMemCreate and other kinds through a backend of the library, over
 * the emulated driver: rm, or the one named by the second argument.
 */
#include "t_lib.h"

#define VMM_PINNED 1
#define VMM_DEVICE 1
#define VMM_FD 1
#define VMM_READ_WRITE 3

/* CUmemAllocationProp, CUmemAccessDesc */
struct vmm_prop {
	int type, handle_types, location_type, location;
	void *windows;
	unsigned char flags[8];
};

struct vmm_access {
	int location_type, location, flags;
};

static struct gpumem *session;
static const char *backend = "rm";

static struct {
	int (*create)(unsigned long long *, size_t, const struct vmm_prop *,
		      unsigned long long);
	int (*release)(unsigned long long);
	int (*reserve)(uint64_t *, size_t, size_t, uint64_t,
		       unsigned long long);
	int (*map)(uint64_t, size_t, size_t, unsigned long long,
		   unsigned long long);
	int (*unmap)(uint64_t, size_t);
	int (*access)(uint64_t, size_t, const struct vmm_access *, size_t);
	int (*managed)(uint64_t *, size_t, unsigned int);
	int (*pool)(uint64_t *, size_t, void *);
	int (*pool_free)(uint64_t, void *);
	int (*synchronize)(void);
} cu;

static void find(const char *name, void *function)
{
	void *found = gpumem_cuda_symbol(session, name);

	need(found, "libcuda lacks %s", name);
	memcpy(function, &found, sizeof(found));
}

static void open_session(void)
{
	session = t_lib_open(backend);
	find("cuMemCreate", &cu.create);
	find("cuMemRelease", &cu.release);
	find("cuMemAddressReserve", &cu.reserve);
	find("cuMemMap", &cu.map);
	find("cuMemUnmap", &cu.unmap);
	find("cuMemSetAccess", &cu.access);
	find("cuMemAllocManaged", &cu.managed);
	find("cuMemAllocAsync", &cu.pool);
	find("cuMemFreeAsync", &cu.pool_free);
	find("cuCtxSynchronize", &cu.synchronize);
}

static unsigned long long vmm_create(size_t length, int handle_types)
{
	struct vmm_prop prop = { .type = VMM_PINNED,
				 .handle_types = handle_types,
				 .location_type = VMM_DEVICE };
	unsigned long long handle = 0;
	int r = cu.create(&handle, length, &prop, 0);

	need(!r, "cuMemCreate: CUDA error %d", r);
	return handle;
}

static uint64_t vmm_reserve(size_t length)
{
	uint64_t addr = 0;
	int r = cu.reserve(&addr, length, 0, 0, 0);

	need(!r, "cuMemAddressReserve: CUDA error %d", r);
	return addr;
}

static void vmm_map(uint64_t addr, size_t length, unsigned long long handle)
{
	struct vmm_access access = { VMM_DEVICE, 0, VMM_READ_WRITE };
	int r = cu.map(addr, length, 0, handle, 0);

	need(!r, "cuMemMap: CUDA error %d", r);
	r = cu.access(addr, length, &access, 1);
	need(!r, "cuMemSetAccess: CUDA error %d", r);
}

/* Writes through a mapping of the range; CUDA must see every byte. */
static void check_range(uint64_t addr, size_t length, unsigned int seed)
{
	struct gpumem_buf *buf = t_lib_pin(session, addr, length, 0);
	uint8_t *want = malloc(length), *found = calloc(1, length);
	void *cpu = NULL;
	size_t i;

	need(want && found, "no memory");
	t_lib_ok(gpumem_map(buf, &cpu), "gpumem_map");
	for (i = 0; i < length; i++)
		want[i] = (uint8_t)((i * 2654435761u + seed) >> 13);
	memcpy(cpu, want, length);
	__sync_synchronize();
	t_lib_to_host(found, addr, length);
	check(!memcmp(want, found, length),
	      "%zu bytes at 0x%llx: CUDA sees other data", length,
	      (unsigned long long)addr);
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	free(want);
	free(found);
}

/* Three allocations side by side, of which the middle is the largest. */
static void mode_span(void)
{
	unsigned long long handle[4];
	struct gpumem_buf *buf;
	uint64_t addr;
	int i;

	open_session();
	addr = vmm_reserve(10 * MIB);
	for (i = 0; i < 4; i++)
		handle[i] = vmm_create(i == 1 ? 4 * MIB : 2 * MIB, VMM_FD);
	vmm_map(addr, 2 * MIB, handle[0]);
	vmm_map(addr + 2 * MIB, 4 * MIB, handle[1]);
	vmm_map(addr + 6 * MIB, 2 * MIB, handle[2]);

	check_range(addr, 2 * MIB, 1);
	check_range(addr + 3 * MIB + 5, 100000, 2);
	check_range(addr, 8 * MIB, 3);
	check_range(addr + 2 * MIB - 7, 14, 4);
	check_range(addr + MIB, 6 * MIB + 123, 5);
	t_lib_error(gpumem_pin(session, addr, 8 * MIB + 1, 0, &buf), ERANGE,
		    "past the end", "past the third");

	/* Another one in the place of the first: never the old memory. */
	check(!cu.unmap(addr, 2 * MIB), "cuMemUnmap");
	t_lib_error(gpumem_pin(session, addr, 1, 0, &buf), EINVAL,
		    "no CUDA memory", "unmapped");
	vmm_map(addr, 2 * MIB, handle[3]);
	check_range(addr, 8 * MIB, 6);

	check(!cu.unmap(addr, 8 * MIB), "cuMemUnmap");
	for (i = 0; i < 4; i++)
		check(!cu.release(handle[i]), "cuMemRelease");
	t_lib_close(session);
}

/* What is not the backend's is refused, with what to use instead. */
static void mode_kinds(void)
{
	unsigned long long handle;
	struct gpumem_buf *buf;
	uint64_t addr, other;

	open_session();
	handle = vmm_create(2 * MIB, 0);
	addr = vmm_reserve(2 * MIB);
	vmm_map(addr, 2 * MIB, handle);
	t_lib_error(gpumem_pin(session, addr, 4096, 0, &buf), EOPNOTSUPP,
		    "CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR",
		    "cuMemCreate without a handle type");
	check(!cu.unmap(addr, 2 * MIB) && !cu.release(handle), "cuMemUnmap");

	need(!cu.pool(&addr, MIB, NULL) && !cu.synchronize(),
	     "cuMemAllocAsync");
	t_lib_error(gpumem_pin(session, addr, 4096, 0, &buf), EOPNOTSUPP,
		    "cuMemAllocAsync", "memory of a pool");
	check(!cu.pool_free(addr, NULL) && !cu.synchronize(), "cuMemFreeAsync");

	need(!cu.managed(&addr, MIB, 1), "cuMemAllocManaged");
	t_lib_error(gpumem_pin(session, addr, 4096, 0, &buf), EINVAL, "managed",
		    "managed memory");
	t_lib_free(addr);

	/* Neighbours of cuMemAlloc are not one range. */
	addr = t_lib_alloc(4096);
	other = t_lib_alloc(4096);
	t_lib_error(gpumem_pin(session, addr < other ? addr : other, 8192, 0,
			       &buf),
		    ERANGE, "past the end", "two allocations");
	t_lib_free(addr);
	t_lib_free(other);
	t_lib_close(session);
}

/* Any memory through the backend: also that of a pool. */
static void mode_data(void)
{
	uint64_t addr;

	open_session();
	check(!strcmp(gpumem_backend_name(session), backend), "backend %s",
	      gpumem_backend_name(session));
	addr = t_lib_alloc(3 * MIB + 1000);
	check_range(addr, 3 * MIB + 1000, 1);
	check_range(addr + 65535, 2, 2);
	check_range(addr + MIB + 123, MIB, 3);
	t_lib_free(addr);
	t_lib_close(session);
}

static const struct t_mode modes[] = {
	{ "span", mode_span },
	{ "kinds", mode_kinds },
	{ "data", mode_data },
};

int main(int argc, char **argv)
{
	if (argc > 2)
		backend = argv[2];
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
