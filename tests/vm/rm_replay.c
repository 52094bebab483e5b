// SPDX-License-Identifier: MIT
/*
 * Does the steps of a recording of the real driver (tests/data/rm) on the nodes
 * that are here, the emulated GPU's, and compares what comes of each.
 *
 * usage: vm-rm-replay [--driver | --simulated] FILE
 *
 * --driver prints which driver was recorded and does nothing else. Without
 * --simulated a recording that was not taken on a real GPU is refused.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../gpu/rm_tape.h"

struct header {
	char driver[64];
	bool simulated;
};

/* The lines before the first title. */
static int header_read(FILE *file, const char *name, struct header *header)
{
	char line[TAPE_LINE];

	if (!fgets(line, sizeof(line), file) ||
	    strcmp(line, TAPE_FORMAT "\n") != 0) {
		printf("%s: no recording of the format " TAPE_FORMAT "\n",
		       name);
		return -1;
	}
	header->driver[0] = '\0';
	header->simulated = true;
	while (fgets(line, sizeof(line), file) && *line != '#') {
		sscanf(line, "driver %63s", header->driver);
		if (!strcmp(line, "simulated no\n"))
			header->simulated = false;
	}
	return 0;
}

/* 0: done as recorded; 1: otherwise. */
static int line_replay(char *line)
{
	char *expected = strstr(line, TAPE_ARROW);
	bool note = !strncmp(line, "note ", 5);
	char result[TAPE_LINE];

	if (!expected) {
		printf("no step and result: %s\n", line);
		return 1;
	}
	*expected = '\0';
	expected += strlen(TAPE_ARROW);
	if (tape_step(line, result, sizeof(result))) {
		printf("cannot be done: %s\n", line);
		return 1;
	}
	if (note || !strcmp(result, expected))
		return 0;
	printf("%s\n  driver:   %s\n  emulated: %s\n", line, expected, result);
	return 1;
}

static int replay(FILE *file, unsigned int *steps, unsigned int *wrong)
{
	char line[TAPE_LINE];

	if (tape_cuda_open())
		return -1;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!*line || *line == '#')
			continue;
		++*steps;
		*wrong += (unsigned int)line_replay(line);
	}
	tape_close();
	return 0;
}

int main(int argc, char **argv)
{
	bool driver = argc == 3 && !strcmp(argv[1], "--driver");
	bool simulated = argc == 3 && !strcmp(argv[1], "--simulated");
	const char *name = argv[argc - 1];
	unsigned int steps = 0, wrong = 0;
	struct header header;
	FILE *file;
	int ret;

	if (argc != 2 && !driver && !simulated) {
		fprintf(stderr, "usage: vm-rm-replay [--driver | --simulated] "
				"FILE\n");
		return 2;
	}
	file = fopen(name, "r");
	if (!file) {
		perror(name);
		return 1;
	}
	ret = header_read(file, name, &header);
	if (!ret && driver) {
		puts(header.driver);
	} else if (!ret && header.simulated != simulated) {
		printf("%s: %s\n", name,
		       simulated ? "not taken on a simulated GPU"
				 : "taken on a simulated GPU: it shows nothing "
				   "of the driver");
		ret = -1;
	} else if (!ret) {
		ret = replay(file, &steps, &wrong);
		printf("%s: %u steps of driver %s, %u differ\n", name, steps,
		       header.driver, wrong);
	}
	fclose(file);
	return ret || wrong || (!driver && !steps) ? 1 : 0;
}
