// SPDX-License-Identifier: MIT
/* The command line of every subcommand: one loop, and what is wrong with it. */
#include <getopt.h>
#include <limits.h>
#include <string.h>

#include "report.h"
#include "text.h"
#include "tool.h"

static int target_twice(void)
{
	tool_error("--device and --device-id: give one of them");
	return TOOL_USAGE;
}

static int target_device(struct tool_target *target, const char *text)
{
	if (target->device_id)
		return target_twice();
	target->device_given = true;
	return tool_parse_number("--device", text, 0, INT_MAX, &target->device);
}

static int target_device_id(struct tool_target *target, const char *text)
{
	if (target->device_given && !target->device_id)
		return target_twice();
	target->device_given = true;
	target->device_id = text;
	return 0;
}

static int target_option(struct tool_target *target, int option)
{
	switch (option) {
	case TOOL_OPTION_BACKEND:
		target->backend = optarg;
		return 0;
	case TOOL_OPTION_DEVICE:
		return target_device(target, optarg);
	case TOOL_OPTION_DEVICE_ID:
		return target_device_id(target, optarg);
	case TOOL_OPTION_JSON:
		if (!report_available()) {
			tool_error("--json: gpumem was built without JSON "
				   "support; install json-c's development "
				   "files and build it again");
			return TOOL_USAGE;
		}
		target->json = true;
		return 0;
	default:
		target->help = true;
		return 0;
	}
}

static int option_unknown(const char *word, const struct option *options)
{
	const char *dashes = word[1] == '-' ? "" : "-";
	char name[64];
	struct text_near near = { .word = name };

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	near.word += strspn(name, "-");
	for (; options->name; options++)
		text_near_try(&near, options->name);
	if (near.name)
		return tool_usage("%s: no such option (did you mean --%s?)",
				  word, near.name);
	return tool_usage("%s: no such option%s", word,
			  *dashes ? "; those with a name begin with --" : "");
}

/* The options whose names begin so; an exact name counts alone. */
static int option_candidates(const char *name, size_t length,
			     const struct option *options, char *list,
			     size_t room)
{
	size_t used = 0;
	int count = 0;

	for (; options->name; options++) {
		if (strncmp(options->name, name, length) != 0)
			continue;
		if (!options->name[length])
			return 1;
		if (used < room)
			used += snprintf(list + used, room - used, "%s--%s",
					 count ? ", " : "", options->name);
		count++;
	}
	return count;
}

static int option_refused(const char *word, bool missing,
			  const struct option *options)
{
	const char *name = word + strspn(word, "-");
	size_t length = strcspn(name, "=");
	char list[256] = "";
	int count;

	if (missing)
		return tool_usage("%s: a value is missing", word);
	if (name - word < 2)
		return option_unknown(word, options);
	count = option_candidates(name, length, options, list, sizeof(list));
	if (!count)
		return option_unknown(word, options);
	if (count > 1)
		return tool_usage("%s: ambiguous: it may be %s", word, list);
	return tool_usage("%s: --%.*s takes no value", word, (int)length, name);
}

int tool_parse(int argc, char **argv, const struct option *options,
	       struct tool_target *target, tool_take_fn *take, void *command)
{
	opterr = 0;
	for (;;) {
		/* Words are not skipped: this is what comes next. */
		const char *word = argv[optind];
		int option = getopt_long(argc, argv, "+:h", options, NULL);
		int status;

		if (option == -1)
			break;
		if (option == '?' || option == ':')
			return option_refused(word, option == ':', options);
		status = option >= TOOL_OPTION_OWN
				 ? take(command, option)
				 : target_option(target, option);
		if (status || target->help)
			return status;
	}
	if (optind < argc)
		return tool_usage("%s: not expected here",
				  tool_word(argv[optind]));
	return 0;
}
