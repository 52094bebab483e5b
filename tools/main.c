// SPDX-License-Identifier: MIT
/* The command `gpumem`: finds the subcommand and watches over its output. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

static const struct tool_command *const commands[] = {
	&tool_demo,   &tool_info,  &tool_dma,
	&tool_doctor, &tool_bench, &tool_tune,
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
	fprintf(out, "Usage: gpumem COMMAND [OPTION]...\n"
		     "Direct CPU access to NVIDIA GPU memory.\n"
		     "\n"
		     "Commands:\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-8s %s\n", commands[i]->name,
			commands[i]->summary);
	fprintf(out, "\n"
		     "  gpumem COMMAND --help   what a command does and takes\n"
		     "  gpumem --version        the version of gpumem\n"
		     "\n"
		     "Exit status: 0 success, 1 wrong data came back or the "
		     "doctor warns,\n"
		     "2 wrong usage, 3 cannot run here or failed. See "
		     "gpumem(1).\n");
}

static const struct tool_command *command_find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	}
	return NULL;
}

static int command_unknown(const char *name)
{
	fprintf(stderr, "gpumem: %s: no such command; there are", name);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(stderr, "%s %s", i ? "," : "", commands[i]->name);
	fprintf(stderr, "; see gpumem --help\n");
	return TOOL_USAGE;
}

static int command_help(const char *name)
{
	const struct tool_command *command;

	if (!name) {
		print_help(stdout);
		return TOOL_OK;
	}
	command = command_find(name);
	if (!command)
		return command_unknown(name);
	command->help(stdout);
	return TOOL_OK;
}

static int dispatch(int argc, char **argv)
{
	const struct tool_command *command;
	const char *name = argv[1];

	if (argc < 2) {
		fprintf(stderr, "gpumem: no command given\n");
		print_help(stderr);
		return TOOL_USAGE;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h") ||
	    !strcmp(name, "help"))
		return command_help(argv[2]);
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		printf("gpumem %s\n", gpumem_version());
		return TOOL_OK;
	}
	command = command_find(name);
	if (!command)
		return command_unknown(name);
	tool_set_name(name);
	return command->run(argc - 1, argv + 1);
}

/*
 * A device opened while descriptor 1 or 2 is closed would take its number and
 * receive what is meant for the user. Filling a gap the wrong way round keeps
 * the error: a write to it fails.
 */
static void fill_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			_exit(TOOL_FAILED);
	}
}

/* A full disk or a closed stdout must not look like success. */
static int finish_output(int status)
{
	bool lost = ferror(stdout);

	errno = 0;
	if ((fclose(stdout) || lost) && status == TOOL_OK) {
		fprintf(stderr,
			"gpumem: writing to standard output failed%s%s\n",
			errno ? ": " : "", errno ? strerror(errno) : "");
		return TOOL_FAILED;
	}
	return status;
}

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	setvbuf(stdout, NULL, _IOLBF, 0);
	return finish_output(dispatch(argc, argv));
}
