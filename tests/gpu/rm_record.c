// SPDX-License-Identifier: MIT
/*
 * Does on the stock driver what backend rm does, and what it must be refused,
 * and writes down what came of each step: tests/data/rm/README.md tells the
 * format. tests/vm/rm_replay.c does the same on the emulated GPU.
 *
 * usage: rm_record FILE
 *
 * Exits with 0, 1 if a step could not be done, 77 where there is no GPU.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rm_steps.h"
#include "rm_tape.h"

/* The driver's version by its own word, not by way of a step. */
static void version_read(char *version, size_t size)
{
	char line[128];
	FILE *file = fopen("/proc/driver/nvidia/version", "r");

	snprintf(version, size, "unknown");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		for (char *word = strtok(line, " \n"); word;
		     word = strtok(NULL, " \n")) {
			unsigned int major, minor;

			if (sscanf(word, "%u.%u", &major, &minor) == 2 &&
			    major > 100) {
				snprintf(version, size, "%s", word);
				fclose(file);
				return;
			}
		}
	}
	fclose(file);
}

static int record(FILE *file)
{
	char result[TAPE_LINE];

	for (unsigned int i = 0; rm_steps[i]; i++) {
		/* A blank line and a title. */
		if (*rm_steps[i] == '#') {
			fprintf(file, "\n%s\n", rm_steps[i]);
			continue;
		}
		if (tape_step(rm_steps[i], result, sizeof(result)))
			return -1;
		fprintf(file, "%s" TAPE_ARROW "%s\n", rm_steps[i], result);
		/* What was done stays known if the machine stops here. */
		fflush(file);
	}
	return 0;
}

int main(int argc, char **argv)
{
	char name[128], pci[32], version[64];
	FILE *file;
	int ret;

	if (argc != 2) {
		fprintf(stderr, "usage: rm_record FILE\n");
		return 1;
	}
	if (access("/dev/nvidiactl", F_OK) || tape_cuda_open()) {
		printf("skip: no GPU, or no CUDA to use it by\n");
		return 77;
	}
	file = fopen(argv[1], "w");
	if (!file) {
		perror(argv[1]);
		return 1;
	}
	tape_cuda_device(name, sizeof(name), pci, sizeof(pci));
	version_read(version, sizeof(version));
	fprintf(file, "%s\ndriver %s\ngpu %s\nsimulated %s\nuser %s\n",
		TAPE_FORMAT, version, name,
		tape_cuda_simulated() ? "yes" : "no",
		geteuid() ? "ordinary" : "root");
	ret = record(file);
	tape_close();
	if (fclose(file))
		ret = -1;
	printf("%s: %s on %s%s\n", argv[1],
	       ret ? "recording stopped" : "recorded", name,
	       tape_cuda_simulated() ? " (simulated)" : "");
	return ret ? 1 : 0;
}
