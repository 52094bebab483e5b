// SPDX-License-Identifier: MIT
/* gpumem demo: the whole path, once, with the data verified by CUDA. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "demo_job.h"
#include "report.h"
#include "text.h"

#define PAGES_SHOWN_FIRST 8

struct demo {
	struct tool_target target;
	struct demo_job job;
	struct gpumem_device device;
	const char *backend;
	/* The first pages and the last one. */
	uint64_t page_index[PAGES_SHOWN_FIRST + 1];
	uint64_t page[PAGES_SHOWN_FIRST + 1];
	size_t page_count;
};

static void demo_help(FILE *out)
{
	fprintf(out,
		"Usage: gpumem demo [OPTION]...\n"
		"Allocates GPU memory with CUDA, pins and maps it, writes "
		"a "
		"counter through the\n"
		"CPU's mapping, copies it back with CUDA and compares.\n"
		"\n"
		"  --size N[KMGT]    bytes to pin, from 1 (1M)\n"
		"  --offset N[KMGT]  bytes of the allocation before them "
		"(0)\n"
		"  --device N        CUDA ordinal of the GPU (0)\n"
		"  --device-id ID    the same by PCI address or UUID\n"
		"  --backend NAME    kmod, rm, dmabuf or sim (the first that "
		"works)\n"
		"  --json            print a JSON object instead of text\n"
		"  --help            print this\n"
		"\n"
		"Exit status: 0 the data was right, 1 it was wrong, 2 "
		"wrong "
		"usage,\n"
		"3 cannot run here or a step failed.\n");
}

/* GPUMEM_DEMO_CORRUPT: the index of a word, or of the first and last. */
static int demo_parse_corrupt(struct demo_job *job, const char *text)
{
	uint64_t count = demo_word_count(job), first, last;
	const char *whole = text;
	int used = -1;

	if (sscanf(text, "%" SCNu64 "%n", &first, &used) != 1)
		goto bad;
	last = first;
	if (text[used] == '-') {
		text += used + 1;
		used = -1;
		if (sscanf(text, "%" SCNu64 "%n", &last, &used) != 1)
			goto bad;
	}
	if (text[used] || first > last || last >= count)
		goto bad;
	job->corrupt = true;
	job->corrupt_first = first;
	job->corrupt_last = last;
	return 0;
bad:
	tool_error("GPUMEM_DEMO_CORRUPT is \"%s\": it takes INDEX or "
		   "FIRST-LAST, below the number of words, %" PRIu64
		   "; correct it or unset it",
		   whole, count);
	return TOOL_USAGE;
}

enum { OPTION_SIZE = TOOL_OPTION_OWN, OPTION_OFFSET };

static int demo_take(void *command, int option)
{
	struct demo *demo = command;

	if (option == OPTION_SIZE)
		return tool_parse_size("--size", optarg, 1, &demo->job.size);
	return tool_parse_size("--offset", optarg, 0, &demo->job.offset);
}

static int demo_parse(struct demo *demo, int argc, char **argv)
{
	static const struct option options[] = {
		TOOL_TARGET_OPTIONS,
		{ "size", required_argument, NULL, OPTION_SIZE },
		{ "offset", required_argument, NULL, OPTION_OFFSET },
		{ 0 },
	};
	const char *corrupt = getenv("GPUMEM_DEMO_CORRUPT");
	struct demo_job *job = &demo->job;
	int status =
		tool_parse(argc, argv, options, &demo->target, demo_take, demo);

	if (status || demo->target.help)
		return status;
	if (job->size + job->offset < job->size) {
		tool_error("--size and --offset: their sum passes 2^64 - 1");
		return TOOL_USAGE;
	}
	return corrupt ? demo_parse_corrupt(job, corrupt) : 0;
}

static uint64_t demo_page_cpu(const struct demo *demo, size_t i)
{
	const struct gpumem_buf_info *info = &demo->job.info;

	return (uintptr_t)info->cpu - info->addr_offset +
	       demo->page_index[i] * info->page_size;
}

static int demo_find_pages(struct demo *demo)
{
	uint64_t pages = demo->job.info.page_count;
	size_t count = PAGES_SHOWN_FIRST;

	if (gpumem_pages(demo->job.buf, 0, demo->page, &count))
		return tool_gpumem_error("finding the pages' addresses");
	for (size_t i = 0; i < count; i++)
		demo->page_index[i] = i;
	demo->page_count = count;
	if (pages <= PAGES_SHOWN_FIRST)
		return 0;
	count = 1;
	if (gpumem_pages(demo->job.buf, pages - 1,
			 &demo->page[PAGES_SHOWN_FIRST], &count))
		return tool_gpumem_error("finding the last page's address");
	demo->page_index[PAGES_SHOWN_FIRST] = pages - 1;
	demo->page_count++;
	return 0;
}

static void demo_print_buffer(const struct demo *demo)
{
	const struct gpumem_buf_info *info = &demo->job.info;
	char size[32], page_size[32];

	text_line(stdout, 9, "GPU      %d: %s%s%s%s", demo->device.ordinal,
		  demo->device.name, demo->device.pci[0] ? ", " : "",
		  demo->device.pci,
		  tool_device_label(&demo->device, demo->backend));
	printf("backend  %s\n", demo->backend);
	printf("buffer   %s at GPU address 0x%" PRIx64 ", %" PRIu64 " page%s "
	       "of %s\n",
	       tool_format_size(size, sizeof(size), info->length), info->addr,
	       info->page_count, info->page_count == 1 ? "" : "s",
	       tool_format_size(page_size, sizeof(page_size), info->page_size));
	printf("mapped   at CPU address %p, %" PRIu64 " bytes into the first "
	       "page\n",
	       info->cpu, info->addr_offset);
	printf("%10s  %-20s  CPU address\n", "page",
	       info->flags & GPUMEM_BUF_SIMULATED_PAGES ? "simulated physical"
							: "physical");
	for (size_t i = 0; i < demo->page_count; i++) {
		char physical[32] = "unknown";

		if (i && demo->page_index[i] != demo->page_index[i - 1] + 1)
			printf("%10s\n", "...");
		if (demo->page[i] != GPUMEM_UNKNOWN)
			snprintf(physical, sizeof(physical), "0x%" PRIx64,
				 demo->page[i]);
		printf("%10" PRIu64 "  %-20s  0x%" PRIx64 "\n",
		       demo->page_index[i], physical, demo_page_cpu(demo, i));
	}
}

static void demo_print_words(const struct demo_job *job)
{
	uint64_t count = demo_word_count(job);

	for (uint64_t i = 0; i < count && i < DEMO_WORDS_SHOWN; i++)
		printf("%s%08" PRIx32 "%s", i % 8 ? " " : "word     ",
		       job->words[i], i % 8 == 7 || i + 1 == count ? "\n" : "");
}

static void demo_print_result(const struct demo_job *job)
{
	if (!job->wrong_count) {
		printf("time     pin + map %.1f us the first time, %.1f us "
		       "later (median of %d)\n"
		       "Test successful\n",
		       job->us.pin + job->us.map, stats_median(&job->later),
		       job->later.count);
		return;
	}
	printf("wrong       index  expected  found\n");
	for (uint64_t i = 0; i < job->wrong_count && i < DEMO_WRONG_SHOWN; i++)
		printf("%17" PRIu64 "  %08" PRIx32 "  %08" PRIx32 "\n",
		       job->wrong[i].index, job->wrong[i].expected,
		       job->wrong[i].found);
	printf("Test failed: %" PRIu64 " of %" PRIu64 " words are wrong\n",
	       job->wrong_count, demo_word_count(job));
}

static void demo_report_times(const struct demo_job *job, struct report *to)
{
	struct report *once = report_object(), *both = report_object();

	report_real(once, "open", job->us.open);
	report_real(once, "alloc", job->us.alloc);
	report_real(once, "pin", job->us.pin);
	report_real(once, "map", job->us.map);
	report_real(once, "write", job->us.write);
	report_real(once, "verify", job->us.verify);
	report_real(once, "unmap", job->us.unmap);
	report_real(once, "unpin", job->us.unpin);
	report_real(once, "free", job->us.free);
	report_member(to, "times_us", once);
	report_real(both, "first", job->us.pin + job->us.map);
	stats_report(&job->later, both, "later");
	report_member(to, "pin_map_us", both);
}

static void demo_report(const struct demo *demo)
{
	const struct demo_job *job = &demo->job;
	struct report *report = report_object();
	struct report *pages = report_list(), *words = report_list();
	struct report *wrong = report_list();
	uint64_t count = demo_word_count(job);

	report_string(report, "version", gpumem_version());
	tool_report_device(report, &demo->device, demo->backend);
	report_number(report, "size", job->size);
	report_number(report, "offset", job->offset);
	report_address(report, "gpu_address", job->info.addr);
	report_address(report, "cpu_address", (uintptr_t)job->info.cpu);
	report_number(report, "page_size", job->info.page_size);
	report_number(report, "page_count", job->info.page_count);
	report_bool(report, "simulated_pages",
		    job->info.flags & GPUMEM_BUF_SIMULATED_PAGES);
	for (size_t i = 0; i < demo->page_count; i++) {
		struct report *page = report_object();

		report_number(page, "index", demo->page_index[i]);
		report_address(page, "physical", demo->page[i]);
		report_address(page, "cpu", demo_page_cpu(demo, i));
		report_member(pages, NULL, page);
	}
	report_member(report, "pages", pages);
	for (uint64_t i = 0; i < count && i < DEMO_WORDS_SHOWN; i++)
		report_word(words, NULL, job->words[i]);
	report_member(report, "first_words", words);
	report_bool(report, "success", !job->wrong_count);
	report_number(report, "words", count);
	report_number(report, "wrong_words", job->wrong_count);
	for (uint64_t i = 0; i < job->wrong_count && i < DEMO_WRONG_SHOWN;
	     i++) {
		struct report *word = report_object();

		report_number(word, "index", job->wrong[i].index);
		report_word(word, "expected", job->wrong[i].expected);
		report_word(word, "found", job->wrong[i].found);
		report_member(wrong, NULL, word);
	}
	report_member(report, "wrong", wrong);
	demo_report_times(job, report);
	report_print(report);
}

/* Returns an exit code. Text is printed as it becomes known. */
static int demo_steps(struct demo *demo)
{
	struct demo_job *job = &demo->job;
	bool text = !demo->target.json;
	int status;

	status = tool_device(job->session, &demo->device);
	if (!status)
		status = tool_check_memory(&demo->device, demo->backend,
					   job->offset ? "--size and --offset"
						       : "--size",
					   job->offset + job->size, 0);
	if (!status)
		status = demo_job_begin(job, demo->device.ordinal);
	if (!status)
		status = demo_find_pages(demo);
	if (status)
		return status;
	if (text)
		demo_print_buffer(demo);
	status = demo_job_write(job);
	if (!status)
		status = demo_job_verify(job);
	if (status)
		return status;
	if (text)
		demo_print_words(job);
	status = demo_job_release(job);
	if (!status)
		status = demo_job_repeat(job);
	if (!status)
		status = demo_job_end(job);
	if (status)
		return status;
	if (text)
		demo_print_result(job);
	else
		demo_report(demo);
	return job->wrong_count ? TOOL_MISMATCH : TOOL_OK;
}

static int demo_run(int argc, char **argv)
{
	struct demo demo = { .job.size = 1 << 20 };
	int status = demo_parse(&demo, argc, argv);
	double start = tool_now();

	if (status)
		return status;
	if (demo.target.help) {
		demo_help(stdout);
		return TOOL_OK;
	}
	status = tool_open(&demo.target, &demo.job.session);
	if (status)
		return status;
	demo.job.us.open = tool_now() - start;
	demo.backend = gpumem_backend_name(demo.job.session);
	status = demo_steps(&demo);
	demo_job_end(&demo.job);
	gpumem_close(demo.job.session);
	return status;
}

const struct tool_command tool_demo = {
	.name = "demo",
	.summary = "write GPU memory through the CPU's mapping and verify it",
	.run = demo_run,
	.help = demo_help,
};
