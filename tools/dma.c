// SPDX-License-Identifier: MIT
/* gpumem dma: the addresses by which a PCI device reaches GPU memory. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cuda.h"
#include "report.h"
#include "text.h"
#include "tool.h"

#define PCI_DEVICES "/sys/bus/pci/devices"

/* Pages whose physical addresses are asked for at a time. */
#define PAGES_AT_ONCE 512

struct dma {
	struct tool_target target;
	const char *peer;
	uint64_t size; /* bytes that are pinned */
	uint64_t offset; /* bytes allocated before them */
	bool hold;
	int seconds; /* of --hold; 0: until the user says so */

	struct gpumem *session;
	struct gpumem_device device;
	const char *backend;
	struct cuda cuda;
	bool cuda_open; /* cuda is to be closed */
	uint64_t base; /* the allocation; 0: none */
	struct gpumem_buf *buf; /* NULL: not pinned */
	struct gpumem_dma *map; /* NULL: not mapped */
	struct gpumem_buf_info buf_info;
	struct gpumem_dma_info info;
	char group[16]; /* the peer's IOMMU group; "": none */
	char domain[16]; /* that group's type; "": unknown */
};

/* Addresses that follow each other for the CPU and for the device. */
struct piece {
	uint64_t offset; /* in the buffer's pages */
	uint64_t length;
	uint64_t dma;
	uint64_t physical;
};

static void dma_help(FILE *out)
{
	fprintf(out,
		"Usage: gpumem dma --peer ADDRESS [OPTION]...\n"
		"Allocates GPU memory with CUDA, maps it for a PCI device "
		"and prints the\n"
		"addresses that the device must use. Needs the kernel "
		"module.\n"
		"\n"
		"  --peer ADDRESS    the device, such as 0000:3b:00.0\n"
		"  --size N[KMGT]    bytes to map, from 1 (1M)\n"
		"  --offset N[KMGT]  bytes of the allocation before them "
		"(0)\n"
		"  --hold SECONDS    keep them mapped so long, or until "
		"Enter is pressed;\n"
		"                    0: until Enter\n"
		"  --device N        CUDA ordinal of the GPU (0)\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    kmod, rm, dmabuf or sim (the first that "
		"works)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n"
		"\n"
		"Exit status: 0 success, 2 wrong usage, 3 cannot run here "
		"or a step failed.\n");
}

enum {
	OPTION_PEER = TOOL_OPTION_OWN,
	OPTION_SIZE,
	OPTION_OFFSET,
	OPTION_HOLD,
};

static int dma_take(void *command, int option)
{
	struct dma *dma = command;

	switch (option) {
	case OPTION_PEER:
		dma->peer = optarg;
		return 0;
	case OPTION_SIZE:
		return tool_parse_size("--size", optarg, 1, &dma->size);
	case OPTION_OFFSET:
		return tool_parse_size("--offset", optarg, 0, &dma->offset);
	default:
		dma->hold = true;
		return tool_parse_number("--hold", optarg, 0, INT_MAX / 1000,
					 &dma->seconds);
	}
}

static int dma_parse(struct dma *dma, int argc, char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ "peer", required_argument, NULL, OPTION_PEER },
		{ "size", required_argument, NULL, OPTION_SIZE },
		{ "offset", required_argument, NULL, OPTION_OFFSET },
		{ "hold", required_argument, NULL, OPTION_HOLD },
		{ 0 },
	};
	int status =
		tool_parse(argc, argv, options, &dma->target, dma_take, dma);

	if (status || dma->target.help)
		return status;
	if (!dma->peer) {
		tool_error("--peer: missing; give the PCI address of the "
			   "device that will use the memory, as lspci -D "
			   "shows it");
		return TOOL_USAGE;
	}
	if (dma->size + dma->offset < dma->size) {
		tool_error("--size and --offset: their sum passes 2^64 - 1");
		return TOOL_USAGE;
	}
	return 0;
}

static int dma_alloc(struct dma *dma)
{
	char text[128];
	int result = tool_check_memory(&dma->device, dma->backend,
				       dma->offset ? "--size and --offset"
						   : "--size",
				       dma->offset + dma->size, 0);

	if (result)
		return result;
	if (cuda_open(&dma->cuda, dma->session, dma->device.ordinal)) {
		tool_error("%s", dma->cuda.why);
		return TOOL_FAILED;
	}
	dma->cuda_open = true;
	result = dma->cuda.mem_alloc(&dma->base, dma->offset + dma->size);
	if (!result)
		return 0;
	dma->base = 0;
	if (result == CUDA_ERROR_OUT_OF_MEMORY)
		tool_error("the GPU has no %" PRIu64
			   " bytes of memory free; give a smaller --size",
			   dma->offset + dma->size);
	else
		tool_error("cuMemAlloc: %s",
			   cuda_error(&dma->cuda, result, text, sizeof(text)));
	return TOOL_FAILED;
}

static int dma_map(struct dma *dma)
{
	int rc;

	if (gpumem_pin(dma->session, dma->base + dma->offset, dma->size, 0,
		       &dma->buf)) {
		dma->buf = NULL;
		return tool_gpumem_error("pinning %" PRIu64 " bytes",
					 dma->size);
	}
	dma->buf_info.size = sizeof(dma->buf_info);
	if (gpumem_buf_get(dma->buf, &dma->buf_info))
		return tool_gpumem_error("describing the buffer");
	rc = gpumem_dma_map(dma->buf, dma->peer, 0, &dma->map);
	if (rc) {
		dma->map = NULL;
		tool_gpumem_error("mapping the buffer for a device");
		return rc == -EINVAL ? TOOL_USAGE : TOOL_FAILED;
	}
	dma->info.size = sizeof(dma->info);
	if (gpumem_dma_get(dma->map, &dma->info))
		return tool_gpumem_error("describing the DMA mapping");
	return 0;
}

/* "" where the device is behind no IOMMU, or that cannot be found out. */
static void dma_find_group(struct dma *dma)
{
	char path[96], target[256];
	const char *name;
	ssize_t length;
	FILE *file;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/iommu_group",
		 dma->info.peer);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return;
	target[length] = '\0';
	name = strrchr(target, '/');
	snprintf(dma->group, sizeof(dma->group), "%.15s",
		 name ? name + 1 : target);
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/iommu_group/type",
		 dma->info.peer);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(dma->domain, sizeof(dma->domain), file))
		dma->domain[0] = '\0';
	dma->domain[strcspn(dma->domain, "\n")] = '\0';
	fclose(file);
}

static const char *const dma_paths[] = {
	[GPUMEM_PATH_SWITCH] = "switch",
	[GPUMEM_PATH_HOST] = "host bridge",
	[GPUMEM_PATH_IOMMU] = "IOMMU",
};

/* NULL where it is not known. */
static const char *dma_path(const struct gpumem_dma_info *info)
{
	return info->path < sizeof(dma_paths) / sizeof(dma_paths[0])
		       ? dma_paths[info->path]
		       : NULL;
}

static void dma_print_path(const struct gpumem_dma_info *info)
{
	if (info->path == GPUMEM_PATH_SWITCH)
		text_line(stdout, 9, "path     through the switch below %s",
			  info->port);
	else if (info->path == GPUMEM_PATH_HOST && info->port[0])
		text_line(stdout, 9,
			  "path     through the host bridge, as %s redirects "
			  "requests (ACS)",
			  info->port);
	else if (info->path == GPUMEM_PATH_HOST)
		text_line(stdout, 9, "path     through the host bridge");
	else if (info->path == GPUMEM_PATH_IOMMU)
		text_line(stdout, 9,
			  "path     through the host bridge, whose IOMMU "
			  "translates");
}

static void dma_print_head(const struct dma *dma)
{
	const struct gpumem_dma_info *info = &dma->info;
	char size[32];

	text_line(stdout, 9, "GPU      %d: %s%s%s%s", dma->device.ordinal,
		  dma->device.name, dma->device.pci[0] ? ", " : "",
		  dma->device.pci,
		  tool_device_label(&dma->device, dma->backend));
	printf("backend  %s\n", dma->backend);
	printf("buffer   %s at GPU address 0x%" PRIx64 ", %" PRIu64 " bytes "
	       "into the first run\n",
	       tool_format_size(size, sizeof(size), info->length),
	       dma->buf_info.addr, info->addr_offset);
	if (dma->group[0])
		text_line(stdout, 9, "peer     %s, IOMMU group %s%s%s",
			  info->peer, dma->group,
			  dma->domain[0] ? ", domain " : "", dma->domain);
	else
		text_line(stdout, 9, "peer     %s, no IOMMU", info->peer);
	dma_print_path(info);
	printf("runs     %" PRIu64 ", in pages of %s\n", info->run_count,
	       tool_format_size(size, sizeof(size), info->page_size));
	printf("%18s  %18s  %18s  %s\n", "offset", "DMA address", "length",
	       "physical");
}

static void dma_print_piece(const struct piece *piece)
{
	printf("%18" PRIu64 "  0x%016" PRIx64 "  %18" PRIu64 "  0x%016" PRIx64
	       "\n",
	       piece->offset, piece->dma, piece->length, piece->physical);
}

static void dma_put_piece(const struct piece *piece, struct report *list)
{
	struct report *entry;

	if (!list) {
		dma_print_piece(piece);
		return;
	}
	entry = report_object();
	report_number(entry, "offset", piece->offset);
	report_address(entry, "dma", piece->dma);
	report_number(entry, "length", piece->length);
	report_address(entry, "physical", piece->physical);
	report_member(list, NULL, entry);
}

/* The buffer's pages, looked up as the offset goes up. */
struct pages {
	uint64_t first; /* index of page[0] */
	size_t count;
	uint64_t page[PAGES_AT_ONCE];
};

static int dma_physical(const struct dma *dma, struct pages *pages,
			uint64_t offset, uint64_t *physical)
{
	uint64_t index = offset / dma->buf_info.page_size;

	if (index < pages->first || index - pages->first >= pages->count) {
		pages->first = index;
		pages->count = PAGES_AT_ONCE;
		if (gpumem_pages(dma->buf, index, pages->page, &pages->count)) {
			pages->count = 0;
			tool_gpumem_error("finding the pages' addresses");
			return TOOL_FAILED;
		}
	}
	*physical = pages->page[index - pages->first] +
		    offset % dma->buf_info.page_size;
	return 0;
}

/* Puts out one run, cut where the physical addresses jump. */
static int dma_put_run(const struct dma *dma, struct pages *pages,
		       const struct gpumem_run *run, uint64_t *offset,
		       struct report *list)
{
	struct piece piece = { .offset = *offset, .dma = run->addr };
	uint64_t end = *offset + run->length;

	if (dma_physical(dma, pages, *offset, &piece.physical))
		return TOOL_FAILED;
	while (*offset < end) {
		uint64_t page = dma->buf_info.page_size;
		uint64_t step = page - *offset % page, physical;

		if (step > end - *offset)
			step = end - *offset;
		*offset += step;
		piece.length += step;
		if (*offset < end) {
			if (dma_physical(dma, pages, *offset, &physical))
				return TOOL_FAILED;
			if (physical == piece.physical + piece.length)
				continue;
			dma_put_piece(&piece, list);
			piece.offset = *offset;
			piece.dma += piece.length;
			piece.physical = physical;
			piece.length = 0;
		}
	}
	dma_put_piece(&piece, list);
	return 0;
}

static int dma_put_runs(const struct dma *dma, struct report *list)
{
	struct pages pages = { 0 };
	uint64_t offset = 0;
	int status = 0;

	for (uint64_t i = 0; i < dma->info.run_count && !status; i++) {
		struct gpumem_run run;
		size_t count = 1;

		if (gpumem_dma_runs(dma->map, i, &run, &count))
			return tool_gpumem_error("finding the DMA addresses");
		status = dma_put_run(dma, &pages, &run, &offset, list);
	}
	return status;
}

static int dma_report(const struct dma *dma)
{
	const struct gpumem_dma_info *info = &dma->info;
	struct report *report = report_object(), *runs = report_list();
	int status;

	report_string(report, "version", gpumem_version());
	tool_report_device(report, &dma->device, dma->backend);
	report_number(report, "size", info->length);
	report_number(report, "offset", dma->offset);
	report_address(report, "gpu_address", dma->buf_info.addr);
	report_string(report, "peer", info->peer);
	report_string(report, "iommu_group", dma->group[0] ? dma->group : NULL);
	report_string(report, "iommu_domain",
		      dma->domain[0] ? dma->domain : NULL);
	report_string(report, "path", dma_path(info));
	report_string(report, "port", info->port[0] ? info->port : NULL);
	report_number(report, "page_size", info->page_size);
	report_number(report, "run_count", info->run_count);
	report_number(report, "addr_offset", info->addr_offset);
	status = dma_put_runs(dma, runs);
	report_member(report, "runs", runs);
	if (!status)
		report_print(report);
	return status;
}

static int dma_print(const struct dma *dma)
{
	dma_print_head(dma);
	return dma_put_runs(dma, NULL);
}

/* Until the time is over or a line, or the end, comes on standard input. */
static void dma_hold(const struct dma *dma)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	double end = tool_now() + dma->seconds * 1e6;
	char byte;

	fflush(stdout);
	if (dma->seconds)
		fprintf(stderr, "mapped for %d seconds, or until Enter\n",
			dma->seconds);
	else
		fprintf(stderr, "mapped until Enter\n");
	for (;;) {
		double left = end - tool_now();
		int n;

		if (dma->seconds && left <= 0)
			return;
		n = poll(&input, 1, dma->seconds ? (int)(left / 1e3) + 1 : -1);
		if (n <= 0)
			continue;
		if (read(STDIN_FILENO, &byte, 1) == 1) {
			if (byte == '\n')
				return;
		} else if (dma->seconds) {
			/* Nobody is there to press a key: only time counts. */
			input.fd = -1;
		} else {
			return;
		}
	}
}

static int dma_steps(struct dma *dma)
{
	int status = tool_device(dma->session, &dma->device);

	if (!status)
		status = dma_alloc(dma);
	if (!status)
		status = dma_map(dma);
	if (status)
		return status;
	dma_find_group(dma);
	status = dma->target.json ? dma_report(dma) : dma_print(dma);
	if (!status && dma->hold)
		dma_hold(dma);
	return status;
}

/* Undoes what was done, whatever was done. */
static int dma_end(struct dma *dma, int status)
{
	if (dma->map && gpumem_dma_unmap(dma->map))
		status = tool_gpumem_error("unmapping");
	if (dma->buf && gpumem_unpin(dma->buf))
		status = tool_gpumem_error("unpinning");
	if (dma->base)
		dma->cuda.mem_free(dma->base);
	if (dma->cuda_open)
		cuda_close(&dma->cuda);
	return status;
}

static int dma_run(int argc, char **argv)
{
	struct dma dma = { .size = 1 << 20 };
	int status = dma_parse(&dma, argc, argv);

	if (status)
		return status;
	if (dma.target.help) {
		dma_help(stdout);
		return TOOL_OK;
	}
	status = tool_open(&dma.target, &dma.session);
	if (status)
		return status;
	dma.backend = gpumem_backend_name(dma.session);
	status = dma_end(&dma, dma_steps(&dma));
	gpumem_close(dma.session);
	return status;
}

const struct tool_command tool_dma = {
	.name = "dma",
	.summary =
		"show the addresses by which a PCI device reaches GPU memory",
	.run = dma_run,
	.help = dma_help,
};
