// SPDX-License-Identifier: MIT
/* Messages, common options, opening a GPU. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "report.h"
#include "tool.h"

static const char *tool_name = "";

void tool_set_name(const char *name)
{
	tool_name = name;
}

static void print_error(const char *format, va_list args, const char *reason)
{
	fflush(stdout);
	fprintf(stderr, "gpumem %s: ", tool_name);
	vfprintf(stderr, format, args);
	fprintf(stderr, "%s%s\n", reason ? ": " : "", reason ? reason : "");
}

void tool_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args, NULL);
	va_end(args);
}

int tool_gpumem_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args, gpumem_last_error());
	va_end(args);
	return TOOL_FAILED;
}

static int tool_target_twice(void)
{
	tool_error("--device and --device-id: give one of them");
	return TOOL_USAGE;
}

static int tool_target_device(struct tool_target *target, const char *text)
{
	if (target->device_id)
		return tool_target_twice();
	target->device_given = true;
	return tool_parse_number("--device", text, 0, INT_MAX, &target->device);
}

static int tool_target_device_id(struct tool_target *target, const char *text)
{
	if (target->device_given && !target->device_id)
		return tool_target_twice();
	target->device_given = true;
	target->device_id = text;
	return 0;
}

int tool_target_option(struct tool_target *target, int option, char **argv)
{
	const char *word = argv[optind - 1];

	switch (option) {
	case TOOL_OPTION_BACKEND:
		target->backend = optarg;
		return 0;
	case TOOL_OPTION_DEVICE:
		return tool_target_device(target, optarg);
	case TOOL_OPTION_DEVICE_ID:
		return tool_target_device_id(target, optarg);
	case TOOL_OPTION_JSON:
		if (!report_available()) {
			tool_error("--json: gpumem was built without JSON "
				   "support; install json-c's development "
				   "files and build it again");
			return TOOL_USAGE;
		}
		target->json = true;
		return 0;
	case 'h':
		target->help = true;
		return 0;
	case ':':
		tool_error("%s: a value is missing; see gpumem %s --help", word,
			   tool_name);
		return TOOL_USAGE;
	default:
		tool_error("%s: no such option, ambiguous, or it takes no "
			   "value; see gpumem %s --help",
			   word, tool_name);
		return TOOL_USAGE;
	}
}

int tool_no_more_words(int argc, char **argv)
{
	if (optind >= argc)
		return 0;
	tool_error("%s: not expected here; see gpumem %s --help", argv[optind],
		   tool_name);
	return TOOL_USAGE;
}

struct gpumem_options tool_target_options(const struct tool_target *target)
{
	return (struct gpumem_options){
		.size = sizeof(struct gpumem_options),
		.backend = target->backend,
		.device = target->device,
		.device_id = target->device_id,
	};
}

int tool_target_refused(const struct tool_target *target, int error,
			const char *why)
{
	if (target->device_id)
		tool_error("opening GPU %s: %s", target->device_id, why);
	else
		tool_error("opening GPU %d: %s", target->device, why);
	return error == -EINVAL ? TOOL_USAGE : TOOL_FAILED;
}

int tool_open(const struct tool_target *target, struct gpumem **session)
{
	struct gpumem_options options = tool_target_options(target);
	int error = gpumem_open(&options, session);

	if (!error)
		return 0;
	return tool_target_refused(target, error, gpumem_last_error());
}

int tool_device(struct gpumem *session, struct gpumem_device *device)
{
	device->size = sizeof(*device);
	if (gpumem_device_get(session, -1, device))
		return tool_gpumem_error("describing the GPU");
	return 0;
}

const char *tool_device_label(const struct gpumem_device *device,
			      const char *backend)
{
	if (!(device->flags & GPUMEM_DEVICE_SIMULATED))
		return "";
	return !strcmp(backend, "sim") ? " (SIMULATED: no real GPU's memory is "
					 "used)"
				       : " (EMULATED: no real GPU's memory is "
					 "used)";
}

void tool_report_device(struct report *to, const struct gpumem_device *device,
			const char *backend)
{
	report_string(to, "backend", backend);
	report_bool(to, "simulated", device->flags & GPUMEM_DEVICE_SIMULATED);
	report_number(to, "device", device->ordinal);
	report_string(to, "name", device->name);
	report_string(to, "pci", device->pci[0] ? device->pci : NULL);
	report_number(to, "compute_major", device->compute_major);
	report_number(to, "compute_minor", device->compute_minor);
	report_number(to, "memory", device->memory);
	report_number(to, "bar1_size", device->bar1_size);
	report_number(to, "bar1_free", device->bar1_free);
}

int tool_parse_number(const char *what, const char *text, int minimum,
		      int maximum, int *value)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (end == text || *end || errno || number < minimum ||
	    number > maximum) {
		tool_error("%s: \"%s\" is not a whole number from %d to %d",
			   what, text, minimum, maximum);
		return TOOL_USAGE;
	}
	*value = number;
	return 0;
}

int tool_parse_size(const char *what, const char *text, uint64_t minimum,
		    uint64_t *value)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;
	unsigned long long number;
	unsigned int shift = 0;

	errno = 0;
	number = strtoull(text, &end, 10);
	/* strtoull() takes "-1" and leading blanks; a size is digits first. */
	if (text[0] < '0' || text[0] > '9')
		goto bad;
	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1])
			goto bad;
		shift = 10 * (unit - units + 1);
	}
	if (errno || number > UINT64_MAX >> shift || number << shift < minimum)
		goto bad;
	*value = number << shift;
	return 0;
bad:
	tool_error("%s: \"%s\" is not a number of bytes from %llu to 2^64 - 1, "
		   "such as 4096, 64K, 1M or 2G",
		   what, text, (unsigned long long)minimum);
	return TOOL_USAGE;
}

const char *tool_format_size(char *text, size_t room, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB" };
	const char *unit = bytes == 1 ? "byte" : "bytes";

	for (size_t i = 0; i < 3 && bytes && bytes % 1024 == 0; i++) {
		bytes /= 1024;
		unit = units[i];
	}
	snprintf(text, room, "%llu %s", (unsigned long long)bytes, unit);
	return text;
}

double tool_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

void tool_pace(double begin, double time_us, int done, int rounds)
{
	/* Rounds may be done in bunches, which pass a twentieth or the last. */
	long long twentieths = done < rounds ? done * 20ll / rounds : 20;
	double until = time_us / 20 * twentieths;

	while (tool_now() - begin < until)
		;
}
