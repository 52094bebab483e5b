// SPDX-License-Identifier: MIT
/* The command `gpumem`: finds the subcommand and watches over its output. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"
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
		     "  gpumem help COMMAND   what a command does and takes; "
		     "also COMMAND --help\n"
		     "  gpumem --version      the version of gpumem\n"
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
	struct text_near near = { .word = name };
	char list[128];
	size_t used = 0;

	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		used += snprintf(list + used, sizeof(list) - used, "%s%s",
				 i ? ", " : "", commands[i]->name);
		text_near_try(&near, commands[i]->name);
	}
	if (near.name)
		return tool_usage("%s: no such command (did you mean %s?); "
				  "there are %s",
				  name, near.name, list);
	if (name[0] == '-')
		return tool_usage("%s: no such option; those of a command come "
				  "behind its name",
				  name);
	return tool_usage("%s: no such command; there are %s", tool_word(name),
			  list);
}

static int dispatch(int argc, char **argv);

/* "help bench copy" is "bench copy --help". */
static int command_help(int argc, char **argv)
{
	char *words[] = { argv[0], argv[2], argc > 3 ? argv[3] : "--help",
			  argc > 3 ? "--help" : NULL, NULL };

	if (argc < 3) {
		print_help(stdout);
		return TOOL_OK;
	}
	if (argc > 4 || (argc > 3 && strcmp(argv[2], "bench") != 0))
		return tool_usage("%s: not expected here",
				  tool_word(argv[argc - 1]));
	return dispatch(argc > 3 ? 4 : 3, words);
}

static int dispatch(int argc, char **argv)
{
	const struct tool_command *command;
	const char *name = argv[1];

	if (argc < 2) {
		tool_error("no command given");
		print_help(stderr);
		return TOOL_USAGE;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h") ||
	    !strcmp(name, "help"))
		return command_help(argc, argv);
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		if (argc > 2)
			return tool_usage("%s: not expected here",
					  tool_word(argv[2]));
		printf("gpumem %s\n", gpumem_version());
		return TOOL_OK;
	}
	command = command_find(name);
	if (!command)
		return command_unknown(name);
	tool_set_name(name, NULL);
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

static int output_lost(int error)
{
	tool_set_name(NULL, NULL);
	tool_error("writing to standard output failed%s%s", error ? ": " : "",
		   error ? strerror(error) : "");
	return TOOL_FAILED;
}

/* A full disk must not look like success. */
static int finish_output(int status)
{
	bool lost = ferror(stdout);

	errno = 0;
	if ((fclose(stdout) || lost) && status == TOOL_OK)
		return output_lost(errno);
	return status;
}

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	/* Before anything is measured, which would be lost. */
	if ((fcntl(STDOUT_FILENO, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return output_lost(EBADF);
	setvbuf(stdout, NULL, _IOLBF, 0);
	return finish_output(dispatch(argc, argv));
}
