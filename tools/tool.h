/* SPDX-License-Identifier: MIT */
/*
 * What the subcommands of `gpumem` share: the table entry each provides, exit
 * codes, error messages, option values and opening a GPU.
 */
#ifndef GPUMEM_TOOL_H
#define GPUMEM_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <gpumem.h>

/* Exit codes; gpumem(1) promises them. */
#define TOOL_OK 0
#define TOOL_MISMATCH 1 /* the data that came back is not what was written */
#define TOOL_WARNED 1 /* doctor: works, but at a price */
#define TOOL_USAGE 2 /* the command line is wrong */
#define TOOL_FAILED 3 /* it cannot be done here, or a step failed */

struct tool_command {
	const char *name;
	const char *summary;
	/* argv[0] is the command's name. Returns an exit code. */
	int (*run)(int argc, char **argv);
	void (*help)(FILE *out);
};

extern const struct tool_command tool_demo;
extern const struct tool_command tool_info;
extern const struct tool_command tool_dma;
extern const struct tool_command tool_doctor;
extern const struct tool_command tool_bench;
extern const struct tool_command tool_bench_api;
extern const struct tool_command tool_bench_copy;
extern const struct tool_command tool_bench_loops;
extern const struct tool_command tool_bench_pin;
extern const struct tool_command tool_bench_pingpong;
extern const struct tool_command tool_bench_stall;
extern const struct tool_command tool_bench_threads;
extern const struct tool_command tool_tune;

/*
 * Names the command that tool_error() speaks for, such as "demo", or "bench" and
 * its part "copy"; part may be NULL.
 */
void tool_set_name(const char *name, const char *part);

/* Prints "gpumem NAME: " and the message to stderr. */
void tool_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, with where to find the command's help. Returns TOOL_USAGE. */
int tool_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A word of the command line in a message: an empty one is quoted. */
const char *tool_word(const char *word);

/* gpumem_last_error() without the call's name that it begins with. */
const char *tool_reason(void);

/* As tool_error(), followed by ": " and tool_reason(). Returns TOOL_FAILED. */
int tool_gpumem_error(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* Which GPU a command works on, and how it answers. */
struct tool_target {
	const char *backend; /* NULL: the library's choice */
	int device;
	const char *device_id; /* PCI address or UUID; NULL: device tells */
	bool device_given; /* either of the two */
	bool json;
	bool help; /* --help was given; nothing else counts */
};

/* getopt_long() values of the options that every command has. */
enum tool_option {
	TOOL_OPTION_BACKEND = 0x100,
	TOOL_OPTION_DEVICE,
	TOOL_OPTION_DEVICE_ID,
	TOOL_OPTION_JSON,
	TOOL_OPTION_OWN, /* the first value a command may use for its own */
};

/* clang-format off */
#define TOOL_TARGET_OPTIONS \
	{ "backend", required_argument, NULL, TOOL_OPTION_BACKEND }, \
	{ "device", required_argument, NULL, TOOL_OPTION_DEVICE }, \
	{ "device-id", required_argument, NULL, TOOL_OPTION_DEVICE_ID }, \
	{ "json", no_argument, NULL, TOOL_OPTION_JSON }, \
	{ "help", no_argument, NULL, 'h' }
/* clang-format on */

struct option;

/* Takes an option of the command's own, with its value in optarg. */
typedef int tool_take_fn(void *command, int option);

/*
 * Reads the command line up to --help or the first mistake. Options of values
 * from TOOL_OPTION_OWN on go to take, which may be NULL where there is none.
 * Returns 0 or an exit code, after saying what is wrong.
 */
int tool_parse(int argc, char **argv, const struct option *options,
	       struct tool_target *target, tool_take_fn *take, void *command);

/* What gpumem_open() takes for a target. */
struct gpumem_options tool_target_options(const struct tool_target *target);

/*
 * Whether a file can be written, with make_folders also where its folders have
 * to be made first: asked before the work whose result goes there. Changes
 * nothing. Returns 0, or
 * TOOL_FAILED after saying that `what` cannot have it, and why.
 */
int tool_check_file(const char *what, const char *path, bool make_folders);

/* Opens the target. Returns 0 or an exit code after saying why not. */
int tool_open(const struct tool_target *target, struct gpumem **session);

/* Describes the session's GPU. Returns 0 or an exit code, as tool_open(). */
int tool_device(struct gpumem *session, struct gpumem_device *device);

/*
 * How output names a GPU that is not a real one: " (SIMULATED ...)" for the sim
 * backend, " (EMULATED ...)" for a device driven through another, "" for a real
 * one.
 */
const char *tool_device_label(const struct gpumem_device *device,
			      const char *backend);

/*
 * Whether so many bytes of GPU memory, and so many of host memory beside them,
 * can be there at all: before any are allocated. Returns 0, or TOOL_FAILED after
 * saying that `what` asks for more, and how much there is.
 */
int tool_check_memory(const struct gpumem_device *device, const char *backend,
		      const char *what, uint64_t gpu, uint64_t host);

struct report;

/* Puts backend, simulated and the GPU's members into a report. */
void tool_report_device(struct report *to, const struct gpumem_device *device,
			const char *backend);

/*
 * Option values. Each returns 0, or TOOL_USAGE after saying that `what` (such
 * as "--size") does not take this text and what it takes.
 */
int tool_parse_size(const char *what, const char *text, uint64_t minimum,
		    uint64_t *value);
/* The same, into the next of some values that there is room for. */
int tool_parse_sizes(const char *what, const char *text, uint64_t minimum,
		     uint64_t *values, int room, int *count);
int tool_parse_number(const char *what, const char *text, int minimum,
		      int maximum, int *value);

/* "1 MiB", or "1048577 bytes" where no unit divides it. */
const char *tool_format_size(char *text, size_t room, uint64_t bytes);

/* Microseconds of a clock that only goes forward. */
double tool_now(void);

/*
 * Spreads rounds over a time, so that what a machine does for tenths of a second
 * touches a part of them alone: waits, awake, after each twentieth of the rounds
 * until as much of the time is over.
 */
void tool_pace(double begin, double time_us, int done, int rounds);

#endif /* GPUMEM_TOOL_H */
