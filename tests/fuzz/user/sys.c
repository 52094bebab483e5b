// SPDX-License-Identifier: MIT
/*
 * Fuzzes what reads single values out of /proc, /sys and the caller's hands:
 * lists of CPUs, PCI addresses and resources, UUIDs, versions, models, sizes.
 * Each reader gets the whole input; every file has it as its content.
 */
#include <errno.h>
#include <string.h>

#include "../../../lib/base/error.h"
#include "../../../lib/base/pci.h"
#include "../../../lib/copy/table.h"
#include "../../../lib/copy/threads/affinity.h"
#include "../../../lib/backend/rm/version.h"
#include "../../../lib/core/device_select.h"
#include "../../../lib/core/session.h"
#include "../../../tools/bench/bench.h"
#include "check.h"

FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);

/* The content of all files in /proc and /sys; NULL: that of this machine's. */
static const void *content;
static size_t content_size;

FILE *__wrap_fopen64(const char *path, const char *mode)
{
	if (!content ||
	    (strncmp(path, "/proc/", 6) && strncmp(path, "/sys/", 5)))
		return __real_fopen64(path, mode);
	return fmemopen((void *)(uintptr_t)content, content_size, "r");
}

static void list_write(const struct gm_pool_set *set, FILE *out)
{
	for (size_t i = 0; i < GM_POOL_CPUS; i++)
		if (CPU_ISSET_S(i, sizeof(*set), set->words))
			fprintf(out, "%zu,", i);
}

static void try_cpus(const char *text)
{
	struct gm_pool_set set, again;
	unsigned int count = gm_pool_node_parse(text, &set);
	size_t length;
	char *list;
	FILE *out;

	check(count <= GM_POOL_CPUS);
	if (!count)
		return;
	out = open_memstream(&list, &length);
	check(out);
	list_write(&set, out);
	check(!fclose(out));
	check(gm_pool_node_parse(list, &again) == count);
	check(CPU_EQUAL_S(sizeof(set), set.words, again.words));
	free(list);
}

static void try_pci(const char *text)
{
	struct gm_pci pci, again;
	char name[32];

	if (gm_pci_parse(text, &pci))
		return;
	gm_pci_format(&pci, name, sizeof(name));
	check(!gm_pci_parse(name, &again));
	check(pci.domain == again.domain && pci.bus == again.bus &&
	      pci.devfn == again.devfn);
}

static void try_wanted(const char *text)
{
	struct gm_wanted wanted;

	if (gm_wanted_set(&wanted, 0, text))
		check(*gm_error_text());
	else if (!wanted.by_uuid)
		check(strlen(wanted.pci) == 12);
}

static void try_version(const char *text)
{
	struct gm_rm_version version;

	if (!gm_rm_version_parse(text, &version)) {
		gm_rm_version_layout(&version);
		gm_rm_version_known(&version);
	}
}

static void try_files(void)
{
	struct gpumem_device device = { .memory = UINT64_MAX };
	struct bench_gpu gpu = { .session = NULL };
	struct bench_machine machine;
	struct gm_pool_set set;
	char path[512];

	check(gm_pool_node_set(0, &set) >= 1);
	gm_bar1_size("0000:3b:00.0");
	if (!gm_plan_path("GPU", path, sizeof(path)))
		check(strlen(path) < sizeof(path));
	tool_check_memory(&device, "rm", "fuzz", 1, 0);
	bench_machine_get(&gpu, &machine);
	check(memchr(machine.cpu, 0, sizeof(machine.cpu)));
	check(memchr(machine.driver, 0, sizeof(machine.driver)));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char resource[] =
		"0x10000000 0x10ffffff 0x40200\n0x20000000 0x2fffffff 0x14220c\n";

	setenv("XDG_CACHE_HOME", "/nonexistent", 1);
	/* The files have the input, or all of this is for nothing. */
	content = resource;
	content_size = strlen(resource);
	check(gm_bar1_size("0000:3b:00.0") == 1 << 28);
	content = NULL;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	check(text);
	memcpy(text, data, size);
	text[size] = 0;
	try_cpus(text);
	try_pci(text);
	try_wanted(text);
	try_version(text);
	free(text);
	content = data;
	content_size = size;
	try_files();
	content = NULL;
	return 0;
}
