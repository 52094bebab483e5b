// SPDX-License-Identifier: MIT
/*
 * Memory of cuMemCreate and other kinds through a backend of the library, over
 * the emulated driver: rm, or the one named by the second argument.
 */
#include <dirent.h>

#include "t_lib.h"
#include "t_vmm.h"

static struct gpumem *session;
static const char *backend = "rm";

static unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	need(dir, "/proc/self/fd: %s", strerror(errno));
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* Of the pins of ranges. */
static unsigned int pin_flags;

/*
 * Writes through a mapping of the range; CUDA must see every byte. Of rm's
 * mappings none keeps a descriptor.
 */
static void check_range(uint64_t addr, size_t length, unsigned int seed)
{
	const unsigned int before = descriptors();
	struct gpumem_buf *buf = t_lib_pin(session, addr, length, pin_flags);
	uint8_t *want = malloc(length), *found = calloc(1, length);
	void *cpu = NULL;
	size_t i;

	need(want && found, "no memory");
	t_lib_ok(gpumem_map(buf, &cpu), "gpumem_map");
	if (!strcmp(backend, "rm"))
		check(descriptors() == before, "%u descriptors, %u before",
		      descriptors(), before);
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
static void check_span(int handle_types)
{
	unsigned long long handle[4];
	struct gpumem_buf *buf;
	uint64_t addr;
	int i;

	session = vmm_session_open(backend);
	addr = vmm_reserve(10 * MIB);
	for (i = 0; i < 4; i++)
		handle[i] =
			vmm_create(i == 1 ? 4 * MIB : 2 * MIB, handle_types);
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
	check(!vmm_cuda.unmap(addr, 2 * MIB), "cuMemUnmap");
	t_lib_error(gpumem_pin(session, addr, 1, 0, &buf), EINVAL,
		    "no CUDA memory", "unmapped");
	vmm_map(addr, 2 * MIB, handle[3]);
	check_range(addr, 8 * MIB, 6);

	check(!vmm_cuda.unmap(addr, 8 * MIB), "cuMemUnmap");
	for (i = 0; i < 4; i++)
		check(!vmm_cuda.release(handle[i]), "cuMemRelease");
	t_lib_close(session);
}

static void mode_span(void)
{
	check_span(VMM_FD);
}

/* What the driver maps in part is refused, and nothing is left of it. */
static void mode_span_refused(void)
{
	unsigned long long handle[2];
	struct gpumem_buf *buf;
	unsigned int before;
	uint64_t addr;
	int i;

	session = vmm_session_open(backend);
	addr = vmm_reserve(6 * MIB);
	handle[0] = vmm_create(2 * MIB, VMM_FD);
	handle[1] = vmm_create(4 * MIB, VMM_FD);
	vmm_map(addr, 2 * MIB, handle[0]);
	vmm_map(addr + 2 * MIB, 4 * MIB, handle[1]);
	check_range(addr, 2 * MIB, 1);
	check_range(addr + 3 * MIB, 3 * MIB, 2);
	before = descriptors();
	t_lib_error(gpumem_pin(session, addr, 6 * MIB, 0, &buf), EOPNOTSUPP,
		    "the first alone", "two allocations");
	t_lib_error(gpumem_pin(session, addr + 2 * MIB - 1, 2, 0, &buf),
		    EOPNOTSUPP, "the first alone",
		    "the last byte and one more");
	check(descriptors() == before, "%u descriptors, %u before",
	      descriptors(), before);
	check(!vmm_cuda.unmap(addr, 6 * MIB), "cuMemUnmap");
	for (i = 0; i < 2; i++)
		check(!vmm_cuda.release(handle[i]), "cuMemRelease");
	t_lib_close(session);
}

static void mode_span_search(void)
{
	/* New memory is all alike: nothing but writing tells it apart. */
	pin_flags = GPUMEM_PIN_VERIFY_WRITE;
	check_span(VMM_NO_HANDLE_TYPE);
}

/* What is not the backend's is refused, with what to use instead. */
static void mode_kinds(void)
{
	struct gpumem_buf *buf;
	uint64_t addr, other;

	session = vmm_session_open(backend);
	need(!vmm_cuda.pool(&addr, MIB, NULL) && !vmm_cuda.synchronize(),
	     "cuMemAllocAsync");
	t_lib_error(gpumem_pin(session, addr, 4096, 0, &buf), EOPNOTSUPP,
		    "cuMemAllocAsync", "memory of a pool");
	check(!vmm_cuda.pool_free(addr, NULL) && !vmm_cuda.synchronize(),
	      "cuMemFreeAsync");

	need(!vmm_cuda.managed(&addr, MIB, 1), "cuMemAllocManaged");
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

	session = vmm_session_open(backend);
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
	{ "span-refused", mode_span_refused },
	{ "span-search", mode_span_search },
	{ "kinds", mode_kinds },
	{ "data", mode_data },
};

int main(int argc, char **argv)
{
	if (argc > 2)
		backend = argv[2];
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
