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
extern const struct tool_command tool_bench_pin;
extern const struct tool_command tool_bench_pingpong;
extern const struct tool_command tool_bench_stall;
extern const struct tool_command tool_bench_threads;
extern const struct tool_command tool_tune;

/* Names the command that tool_error() speaks for, such as "demo". */
void tool_set_name(const char *name);

/* Prints "gpumem NAME: " and the message to stderr. */
void tool_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, followed by ": " and gpumem_last_error(). Returns TOOL_FAILED. */
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

/*
 * Takes one of the options above, or getopt_long()'s report of a bad one.
 * Returns 0, or TOOL_USAGE after saying what is wrong.
 */
int tool_target_option(struct tool_target *target, int option, char **argv);

/* What gpumem_open() takes for a target. */
struct gpumem_options tool_target_options(const struct tool_target *target);

/*
 * Says which GPU gpumem_open() refused, and why. Returns the exit code that
 * goes with its error.
 */
int tool_target_refused(const struct tool_target *target, int error,
			const char *why);

/* TOOL_USAGE, with a message, if a word is left on the command line. */
int tool_no_more_words(int argc, char **argv);

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
