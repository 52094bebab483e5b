// SPDX-License-Identifier: MIT
/* Messages, common options, opening a GPU. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "report.h"
#include "text.h"
#include "tool.h"

static char tool_name[32];

void tool_set_name(const char *name, const char *part)
{
	snprintf(tool_name, sizeof(tool_name), "%s%s%s%s", name ? " " : "",
		 name ? name : "", part ? " " : "", part ? part : "");
}

/* How far rows of a message after the first are indented. */
#define ERROR_INDENT 2

static void print_error(const char *format, va_list args, const char *more,
			const char *hint)
{
	char *text;

	fflush(stdout);
	if (vasprintf(&text, format, args) < 0) {
		fprintf(stderr, "gpumem%s: out of host memory\n", tool_name);
		return;
	}
	text_line(stderr, ERROR_INDENT, "gpumem%s: %s%s%s%s%s%s", tool_name,
		  text, more ? ": " : "", more ? more : "",
		  hint ? "; see gpumem" : "", hint ? tool_name : "",
		  hint ? hint : "");
	free(text);
}

void tool_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args, NULL, NULL);
	va_end(args);
}

const char *tool_word(const char *word)
{
	return *word ? word : "\"\"";
}

int tool_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args, NULL, " --help");
	va_end(args);
	return TOOL_USAGE;
}

const char *tool_reason(void)
{
	const char *text = gpumem_last_error();
	size_t call = strspn(text, "abcdefghijklmnopqrstuvwxyz_");

	return call && !strncmp(text + call, ": ", 2) ? text + call + 2 : text;
}

int tool_gpumem_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args, tool_reason(), NULL);
	va_end(args);
	return TOOL_FAILED;
}

/* 0, or why a file, or a folder, cannot be written: an errno. */
static int path_refused(const char *path, bool folder, bool make_folders)
{
	char above[PATH_MAX];
	struct stat st;

	if (strlen(path) >= sizeof(above))
		return ENAMETOOLONG;
	if (!stat(path, &st)) {
		if (S_ISDIR(st.st_mode) != folder)
			return folder ? ENOTDIR : EISDIR;
		return access(path, folder ? W_OK | X_OK : W_OK) ? errno : 0;
	}
	if (errno != ENOENT || !*path || (folder && !make_folders))
		return errno;
	if (!folder && path[strlen(path) - 1] == '/')
		return EISDIR;
	memcpy(above, path, strlen(path) + 1);
	return path_refused(dirname(above), true, make_folders);
}

int tool_check_file(const char *what, const char *path, bool make_folders)
{
	int error = path_refused(path, false, make_folders);

	if (!error)
		return 0;
	tool_error("%s: \"%s\" cannot be written: %s; nothing was measured",
		   what, path, strerror(error));
	return TOOL_FAILED;
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

int tool_open(const struct tool_target *target, struct gpumem **session)
{
	struct gpumem_options options = tool_target_options(target);
	int error = gpumem_open(&options, session);

	if (!error)
		return 0;
	tool_error("%s", tool_reason());
	return error == -EINVAL ? TOOL_USAGE : TOOL_FAILED;
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

/* Bytes that programs may still take; UINT64_MAX where that is unknown. */
static uint64_t host_available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = UINT64_MAX >> 10;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return (uint64_t)kib << 10;
}

int tool_check_memory(const struct gpumem_device *device, const char *backend,
		      const char *what, uint64_t gpu, uint64_t host)
{
	uint64_t available = host_available();
	char wanted[32];

	tool_format_size(wanted, sizeof(wanted), gpu);
	if (gpu > device->memory) {
		char there[32];

		tool_error("%s: %s is more than the GPU's memory of %s; give "
			   "less",
			   what, wanted,
			   tool_format_size(there, sizeof(there),
					    device->memory));
		return TOOL_FAILED;
	}
	/* The simulated GPU's memory is host memory. */
	if (!strcmp(backend, "sim"))
		host += gpu;
	if (host > available) {
		tool_error("%s: %s takes %llu MiB of host memory, and %llu MiB "
			   "are available; give less",
			   what, wanted, (unsigned long long)host >> 20,
			   (unsigned long long)available >> 20);
		return TOOL_FAILED;
	}
	return 0;
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

/*
 * Reads digits alone, which strtoull() does not insist on; *end is what follows
 * them. False if there are none. A number that is too large becomes UINT64_MAX
 * and *large.
 */
static bool parse_digits(const char *text, uint64_t *number, bool *large,
			 const char **end)
{
	char *rest;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &rest, 10);
	*large = errno;
	*end = rest;
	return true;
}

int tool_parse_number(const char *what, const char *text, int minimum,
		      int maximum, int *value)
{
	const char *end, *digits = text + (text[0] == '-');
	uint64_t number;
	bool large;

	if (!parse_digits(digits, &number, &large, &end) || *end) {
		tool_error("%s: \"%s\" is no whole number; it takes one from "
			   "%d to %d",
			   what, text, minimum, maximum);
		return TOOL_USAGE;
	}
	if (digits != text || large || number < (unsigned int)minimum ||
	    number > (unsigned int)maximum) {
		tool_error("%s: \"%s\" is out of range; it takes a number from "
			   "%d to %d",
			   what, text, minimum, maximum);
		return TOOL_USAGE;
	}
	*value = (int)number;
	return 0;
}

/* The power of two that a unit stands for, or -1. */
static int parse_unit(const char *text)
{
	static const char units[] = "KMGT";
	const char *unit;

	if (!*text)
		return 0;
	unit = strchr(units, *text);
	return unit && !text[1] ? 10 * (int)(unit - units + 1) : -1;
}

int tool_parse_size(const char *what, const char *text, uint64_t minimum,
		    uint64_t *value)
{
	const char *end, *digits = text + (text[0] == '-');
	uint64_t number;
	bool large;
	int shift;

	if (!parse_digits(digits, &number, &large, &end) ||
	    (shift = parse_unit(end)) < 0) {
		tool_error("%s: \"%s\" is no number of bytes; give digits, and "
			   "K, M, G or T behind them for 2^10, 2^20, 2^30 or "
			   "2^40 times as many, such as 4096 or 64K",
			   what, text);
		return TOOL_USAGE;
	}
	if (digits != text || large || number > UINT64_MAX >> shift ||
	    number << shift < minimum) {
		tool_error("%s: \"%s\" is out of range; it takes from %llu to "
			   "2^64 - 1 bytes",
			   what, text, (unsigned long long)minimum);
		return TOOL_USAGE;
	}
	*value = number << shift;
	return 0;
}

int tool_parse_sizes(const char *what, const char *text, uint64_t minimum,
		     uint64_t *values, int room, int *count)
{
	int status;

	if (*count == room) {
		tool_error("%s: given more than %d times", what, room);
		return TOOL_USAGE;
	}
	status = tool_parse_size(what, text, minimum, &values[*count]);
	if (!status)
		++*count;
	return status;
}

const char *tool_format_size(char *text, size_t room, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	const char *unit = bytes == 1 ? "byte" : "bytes";

	for (size_t i = 0; i < 4 && bytes && bytes % 1024 == 0; i++) {
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
