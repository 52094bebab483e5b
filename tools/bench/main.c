// SPDX-License-Identifier: MIT
/* gpumem bench: measurements, each a command of its own. */
#include <string.h>

#include "text.h"
#include "tool.h"

static const struct tool_command *const benches[] = {
	&tool_bench_copy,  &tool_bench_pingpong, &tool_bench_threads,
	&tool_bench_stall, &tool_bench_api,	 &tool_bench_pin,
	&tool_bench_loops,
};

#define BENCH_COUNT (sizeof(benches) / sizeof(benches[0]))

static void bench_help(FILE *out)
{
	fprintf(out, "Usage: gpumem bench ");
	for (size_t i = 0; i < BENCH_COUNT; i++)
		fprintf(out, "%s%s", i ? "|" : "", benches[i]->name);
	fprintf(out, " [OPTION]...\n"
		     "Measures, on this machine:\n");
	for (size_t i = 0; i < BENCH_COUNT; i++)
		fprintf(out, "  %-8s %s\n", benches[i]->name,
			benches[i]->summary);
	fprintf(out, "\n"
		     "  gpumem bench WHAT --help   what it measures and takes\n"
		     "  gpumem bench --help        print this\n");
}

static int bench_run(int argc, char **argv)
{
	struct text_near near = { 0 };

	if (argc < 2) {
		tool_error("nothing named to measure");
		bench_help(stderr);
		return TOOL_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		bench_help(stdout);
		return TOOL_OK;
	}
	near.word = argv[1];
	for (size_t i = 0; i < BENCH_COUNT; i++) {
		if (!strcmp(argv[1], benches[i]->name)) {
			tool_set_name("bench", argv[1]);
			return benches[i]->run(argc - 1, argv + 1);
		}
		text_near_try(&near, benches[i]->name);
	}
	if (argv[1][0] == '-')
		return tool_usage("%s: name what to measure first", argv[1]);
	if (near.name)
		return tool_usage("%s: nothing of that name to measure (did "
				  "you mean %s?)",
				  argv[1], near.name);
	return tool_usage("%s: nothing of that name to measure",
			  tool_word(argv[1]));
}

const struct tool_command tool_bench = {
	.name = "bench",
	.summary = "measure what calls cost on this machine",
	.run = bench_run,
	.help = bench_help,
};
