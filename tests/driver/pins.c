// SPDX-License-Identifier: MIT
/*
 * PIN of memory that is on no GPU: what gpumem.ko answers above NVIDIA's driver,
 * and above the emulated GPU. One table for both.
 */
#include "t.h"

/* Past the last page that a pin may begin in. */
#define TOP (~0ull - 70000)

static const struct {
	const char *what;
	uint64_t addr; /* 0: in memory of this process, at offset */
	uint64_t offset;
	uint64_t length;
	int want;
} refused[] = {
	{ "nothing there", NOWHERE, 0, GPU_PAGE, EINVAL },
	{ "nothing there, a byte", NOWHERE, 0, 1, EINVAL },
	{ "nothing there, 128 MiB", NOWHERE, 0, 128 * MIB, EINVAL },
	{ "where CUDA has its memory", 0x7f1200000000, 0, MIB, EINVAL },
	{ "ordinary memory", 0, 0, GPU_PAGE, EINVAL },
	{ "ordinary memory, at an odd place", 0, 1234, 100, EINVAL },
	{ "ordinary memory, 2 MiB", 0, 0, 2 * MIB, EINVAL },
	{ "the first page", 1, 0, GPU_PAGE, EINVAL },
	{ "the kernel's addresses", 0xffff888000000000, 0, MIB, EINVAL },
	{ "the last pages", TOP, 0, 100, EINVAL },
	{ "a range that wraps", ~0ull - 10, 0, 100, EOVERFLOW },
	{ "more than 4 TiB", NOWHERE, 0, (1ull << 42) + 1, EOVERFLOW },
	{ "no bytes", NOWHERE, 0, 0, EINVAL },
};

#define REFUSED (sizeof(refused) / sizeof(refused[0]))

static const struct {
	const char *name;
	uint32_t flags;
} kinds[] = {
	{ "plain", 0 },
	{ "persistent", GPUMEM_PIN_PERSISTENT },
};

static int pin(int fd, uint64_t addr, uint64_t length, uint32_t flags)
{
	struct gpumem_pin p = {
		.size = sizeof(p),
		.addr = addr,
		.length = length,
		.flags = flags,
	};
	int r = t_ioctl(fd, GPUMEM_IOC_PIN, &p);

	check(!p.pin, "a pin that failed has the number %u", p.pin);
	return r;
}

static void *ordinary(void)
{
	void *at = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	need(at != MAP_FAILED, "mmap: %s", strerror(errno));
	return at;
}

static void mode_refused(void)
{
	uint64_t memory = (uintptr_t)ordinary(), addr;
	int fd = gm_open();
	void *handle;
	size_t i, k;

	for (i = 0; i < REFUSED; i++) {
		addr = (refused[i].addr ? refused[i].addr : memory) +
		       refused[i].offset;
		for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
			check_result(pin(fd, addr, refused[i].length,
					 kinds[k].flags),
				     refused[i].want, "PIN, %s: %s",
				     kinds[k].name, refused[i].what);
		check_result(seed_lock(fd, addr, refused[i].length, &handle,
				       NULL),
			     refused[i].want, "LOCK: %s", refused[i].what);
	}
	check_result(pin(fd, NOWHERE, GPU_PAGE, GPUMEM_PIN_FORCE_BAR1), EINVAL,
		     "PIN that forces BAR1 and is not persistent");
	close(fd);
}

/* Refusals cost nothing that would be missed later, on one file and on others. */
static void mode_again(void)
{
	int fd = gm_open(), other, i;

	for (i = 0; i < 500; i++) {
		check_result(pin(fd, NOWHERE, 64 * MIB, kinds[i & 1].flags),
			     EINVAL, "PIN %d", i);
		other = gm_open();
		check_result(pin(other, NOWHERE, MIB, 0), EINVAL,
			     "PIN of file %d", i);
		close(other);
	}
	close(fd);
}

static void mode_version(void)
{
	struct gpumem_version version = { .size = sizeof(version) };
	int fd = gm_open();

	check_result(t_ioctl(fd, GPUMEM_IOC_VERSION, &version), 0, "VERSION");
	check(version.abi == GPUMEM_ABI_VERSION, "ABI %u", version.abi);
	printf("ABI %u, page tables %#x, features %#llx\n", version.abi,
	       version.p2p_page_table, (unsigned long long)version.features);
	close(fd);
}

static const struct t_mode modes[] = {
	{ "refused", mode_refused },
	{ "again", mode_again },
	{ "version", mode_version },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
