// SPDX-License-Identifier: MIT
/*
 * Mappings of contiguous memory, in which the kernel can use one page table
 * entry for 2 MiB. Whether it did shows in the page tables that the process
 * needs.
 */
#include "t.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#define CONTIGUOUS "/sys/module/gpumem_emu/parameters/contiguous"
#define HUGE (2 * MIB)
#define SIZE (512 * MIB)

static void contiguous_set(bool on)
{
	int fd = t_open(CONTIGUOUS);

	need(write(fd, on ? "1" : "0", 1) == 1, "writing " CONTIGUOUS);
	close(fd);
}

/* Memory without struct pages has large entries since 6.12. */
static bool kernel_has_huge(void)
{
	unsigned int major, minor;
	struct utsname u;

	need(!uname(&u) && sscanf(u.release, "%u.%u", &major, &minor) == 2,
	     "uname");
	return (major > 6 || (major == 6 && minor >= 12)) &&
	       !access("/sys/kernel/mm/transparent_hugepage", F_OK);
}

/* KiB of this process's page tables. */
static long tables_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	need(f, "/proc/self/status");
	while (fgets(line, sizeof(line), f))
		sscanf(line, "VmPTE: %ld", &kib);
	fclose(f);
	need(kib >= 0, "no VmPTE in /proc/self/status");
	return kib;
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

struct cost {
	double map_us, touch_us, sparse_us;
	long faults, tables_kib;
};

static double touch(char *at, size_t step)
{
	double start = now_us();
	size_t i;

	for (i = 0; i < SIZE; i += step)
		*(volatile char *)(at + i);
	return now_us() - start;
}

static struct cost measure(bool contiguous)
{
	int emu = emu_open(), fd = gm_open();
	struct rusage before, after;
	struct gpumem_pin pin;
	struct cost c;
	long tables;
	void *at;

	contiguous_set(contiguous);
	pin = gm_must_pin(fd, emu_alloc(emu, SIZE), SIZE);
	contiguous_set(false);
	/* The first mmap() makes the memory write-combined: not measured. */
	check_result(gm_map(fd, &pin, &at), 0, "mmap");
	munmap(at, SIZE);
	tables = tables_kib();
	getrusage(RUSAGE_SELF, &before);
	c.map_us = now_us();
	need(!gm_map(fd, &pin, &at), "mmap");
	c.map_us = now_us() - c.map_us;
	c.touch_us = touch(at, PAGE);
	getrusage(RUSAGE_SELF, &after);
	c.faults = after.ru_minflt - before.ru_minflt;
	c.tables_kib = tables_kib() - tables;
	munmap(at, SIZE);
	need(!gm_map(fd, &pin, &at), "mmap");
	c.sparse_us = touch(at, HUGE);
	munmap(at, SIZE);
	close(fd);
	close(emu);
	printf("512 MiB, %s: mmap %.0f us, a byte in each page %.0f us, in "
	       "each 2 MiB %.0f us, %ld faults, %ld KiB of page tables\n",
	       contiguous ? "contiguous" : "scattered", c.map_us, c.touch_us,
	       c.sparse_us, c.faults, c.tables_kib);
	return c;
}

static void mode_cost(void)
{
	struct cost small = measure(false), large = measure(true);
	long entries = SIZE / HUGE;
	/* Full of entries of 8 bytes. */
	long tables = SIZE / PAGE * 8 / KIB;

	printf("first touches of contiguous memory are %.1f times cheaper, "
	       "%.2f us less for each 2 MiB\n",
	       small.sparse_us / large.sparse_us,
	       (small.sparse_us - large.sparse_us) / (double)entries);
	/* One fault makes 2 MiB of it. */
	check(small.faults >= entries && small.faults < 2 * entries,
	      "scattered: %ld faults", small.faults);
	check(small.tables_kib >= tables, "scattered: %ld KiB of page tables",
	      small.tables_kib);
	check(large.faults >= entries && large.faults < 2 * entries,
	      "contiguous: %ld faults", large.faults);
	if (kernel_has_huge())
		check(large.tables_kib < tables / 8,
		      "contiguous: %ld KiB of page tables: no large entries",
		      large.tables_kib);
	else
		check(large.tables_kib >= tables,
		      "contiguous: %ld KiB of page tables on this kernel",
		      large.tables_kib);
}

#define WORD(at, offset) ((uint32_t *)((char *)(at) + (offset)))

/* Everything that splits, moves or ends a large entry. */
static void mode_rules(void)
{
	int emu = emu_open(), fd = gm_open();
	struct gpumem_pin pin;
	uint64_t addr, i;
	uint32_t value;
	char *at, *to;
	void *p;

	contiguous_set(true);
	addr = emu_alloc(emu, 8 * MIB);
	contiguous_set(false);
	pin = gm_must_pin(fd, addr, 8 * MIB);
	need(!gm_map(fd, &pin, &p), "mmap");
	at = p;
	check((uintptr_t)at % HUGE == 0 || !kernel_has_huge(),
	      "mmap gave %p, not a multiple of 2 MiB", p);
	counter_fill(at, 8 * MIB / 4, 0x0A000000);
	for (i = 0; i < 8 * MIB; i += 4 * PAGE) {
		check_result(emu_read(emu, addr + i, &value, 4), 0, "reading");
		if (!check(value == 0x0A000000 + i / 4,
			   "CUDA reads %#x at %#llx", value,
			   (unsigned long long)i))
			break;
	}
	/* Split by a hole, by rights, by a move to where it cannot be large. */
	check(!munmap(at + MIB, PAGE), "munmap in a large entry");
	check(t_load(at + MIB, NULL) == SIGSEGV, "no SIGSEGV in the hole");
	counter_check(at, MIB / 4, 0x0A000000, "before the hole");
	counter_check(at + MIB + PAGE, (MIB - PAGE) / 4,
		      0x0A000000 + (MIB + PAGE) / 4, "after the hole");
	check(!mprotect(at + 2 * MIB, PAGE, PROT_READ), "mprotect");
	check(t_store(at + 2 * MIB, 1) == SIGSEGV, "a store while read-only");
	check(!t_store(at + 2 * MIB + PAGE, 1), "a store beside it");
	check(!t_load(at + 2 * MIB, &value) &&
		      value == 0x0A000000 + 2 * MIB / 4,
	      "the read-only page has %#x", value);
	p = mmap(NULL, 8 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(p != MAP_FAILED, "mmap");
	to = (char *)(((uintptr_t)p + HUGE) & ~(HUGE - 1)) + 3 * PAGE;
	p = mremap(at + 4 * MIB, 2 * MIB, 2 * MIB,
		   MREMAP_MAYMOVE | MREMAP_FIXED, to);
	need(p == to, "mremap: %s", strerror(errno));
	counter_check(to, 2 * MIB / 4, 0x0A000000 + 4 * MIB / 4, "moved");
	/* Large again elsewhere, written first. */
	need(!gm_map(fd, &pin, &p), "mmap");
	check(!t_store(WORD(p, 7 * MIB), 0x4242), "a store");
	check(*WORD(at, 7 * MIB) == 0x4242, "two mappings differ");

	check_result(emu_free(emu, addr), 0, "freeing");
	for (i = 0; i < 8 * MIB; i += MIB / 2)
		check(t_load((char *)p + i, NULL) == SIGBUS,
		      "no SIGBUS at %#llx", (unsigned long long)i);
	check(t_load(at, NULL) == SIGBUS && t_load(to, NULL) == SIGBUS &&
		      t_load(at + 6 * MIB, NULL) == SIGBUS,
	      "no SIGBUS in a split mapping");
	close(fd);
	close(emu);
	munmap(at, 4 * MIB);
	munmap(at + 6 * MIB, 2 * MIB);
	munmap(to, 2 * MIB);
	munmap(p, 8 * MIB);
	emu_check_nothing_pinned("in the end");
}

static const struct t_mode modes[] = {
	{ "cost", mode_cost },
	{ "rules", mode_rules },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
