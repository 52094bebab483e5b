// SPDX-License-Identifier: MIT
/* How copies are chosen: settings, plans, where plans are kept, explanations. */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#define STEPS 64

static char cache[64];
static const char *cpuinfo; /* /proc/cpuinfo; NULL: as it is */

/* In the place of the C library's. */
__attribute__((visibility("default"))) FILE *fopen(const char *path,
						   const char *mode)
{
	FILE *(*real)(const char *path, const char *mode);

	*(void **)&real = dlsym(RTLD_NEXT, "fopen");
	return cpuinfo && !strcmp(path, "/proc/cpuinfo")
		       ? fmemopen((void *)(uintptr_t)cpuinfo, strlen(cpuinfo),
				  "r")
		       : real(path, mode);
}

/* The plans of these tests are nobody else's. */
static int setup(void **state)
{
	snprintf(cache, sizeof(cache), "/tmp/gpumem-plan-XXXXXX");
	assert_non_null(mkdtemp(cache));
	assert_int_equal(setenv("XDG_CACHE_HOME", cache, 1), 0);
	assert_int_equal(setenv("GPUMEM_LOG", "debug", 1), 0);
	return unit_setup(state);
}

static int teardown(void **state)
{
	char folder[96];

	snprintf(folder, sizeof(folder), "%s/gpumem", cache);
	rmdir(folder);
	rmdir(cache);
	return unit_teardown(state);
}

static struct gpumem_copy_settings settings_get(struct gpumem *session)
{
	struct gpumem_copy_settings s = { .size = sizeof(s) };

	assert_int_equal(gpumem_copy_settings_get(session, &s), 0);
	return s;
}

static void settings_are_kept_and_checked(void **state)
{
	struct gpumem_copy_settings old = settings_get(unit_session), s = old;

	assert_true(s.threads >= 1);
	assert_int_equal(s.courier, 1);
	assert_int_equal(s.copy_engine, 1);
	s.threads = 3;
	s.courier = 0;
	s.copy_engine = 0;
	s.courier_idle_us = 10;
	s.courier_life_us = 10000;
	assert_int_equal(gpumem_copy_settings_set(unit_session, &s), 0);
	s = settings_get(unit_session);
	assert_int_equal(s.threads, 3);
	assert_int_equal(s.courier, 0);
	assert_int_equal(s.copy_engine, 0);
	assert_int_equal(s.courier_idle_us, 10);
	assert_int_equal(s.courier_life_us, 10000);

	s.threads = 0;
	unit_expect_error(gpumem_copy_settings_set(unit_session, &s), -EINVAL,
			  "threads is 0", "1 to 64", NULL);
	s.threads = 65;
	unit_expect_error(gpumem_copy_settings_set(unit_session, &s), -EINVAL,
			  "threads is 65", NULL);
	s.threads = 1;
	s.courier = 2;
	unit_expect_error(gpumem_copy_settings_set(unit_session, &s), -EINVAL,
			  "courier is 2", NULL);
	s.courier = 1;
	s.copy_engine = 2;
	unit_expect_error(gpumem_copy_settings_set(unit_session, &s), -EINVAL,
			  "copy_engine is 2", NULL);
	s.copy_engine = 1;
	s.courier_life_us = 99;
	unit_expect_error(gpumem_copy_settings_set(unit_session, &s), -EINVAL,
			  "courier_life_us 99", NULL);
	s.size--;
	unit_expect_error(gpumem_copy_settings_set(unit_session, &s), -EINVAL,
			  "size", NULL);
	unit_expect_error(gpumem_copy_settings_get(unit_session, NULL), -EINVAL,
			  "NULL", NULL);
	assert_int_equal(settings_get(unit_session).threads, 3);
	assert_int_equal(gpumem_copy_settings_set(unit_session, &old), 0);
}

static void the_environment_sets_them(void **state)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	struct gpumem *session;

	setenv("GPUMEM_THREADS", "5", 1);
	setenv("GPUMEM_COURIER", "0", 1);
	setenv("GPUMEM_COPY_ENGINE", "0", 1);
	assert_int_equal(gpumem_open(&options, &session), 0);
	assert_int_equal(settings_get(session).threads, 5);
	assert_int_equal(settings_get(session).courier, 0);
	assert_int_equal(settings_get(session).copy_engine, 0);
	assert_int_equal(gpumem_close(session), 0);

	/* An empty one counts as not given. */
	setenv("GPUMEM_THREADS", "", 1);
	setenv("GPUMEM_COURIER", "", 1);
	setenv("GPUMEM_COPY_ENGINE", "", 1);
	assert_int_equal(gpumem_open(&options, &session), 0);
	assert_int_equal(settings_get(session).threads,
			 settings_get(unit_session).threads);
	assert_int_equal(settings_get(session).courier, 1);
	assert_int_equal(settings_get(session).copy_engine, 1);
	assert_int_equal(gpumem_close(session), 0);
	unsetenv("GPUMEM_THREADS");
	unsetenv("GPUMEM_COURIER");
	unsetenv("GPUMEM_COPY_ENGINE");

	/* A launch that waits for the kernel's end would wait for this thread. */
	for (int i = 0; i < 3; i++) {
		setenv("CUDA_LAUNCH_BLOCKING", i == 2 ? "" : i ? "0" : "1", 1);
		assert_int_equal(gpumem_open(&options, &session), 0);
		assert_int_equal(settings_get(session).courier, i > 0);
		assert_int_equal(gpumem_close(session), 0);
	}
	unsetenv("CUDA_LAUNCH_BLOCKING");
}

static size_t plan_get(struct gpumem *session, struct gpumem_plan_step *steps)
{
	size_t count = STEPS;

	assert_int_equal(gpumem_plan_get(session, steps, &count), 0);
	return count;
}

static unsigned int explained(struct gpumem *session, uint64_t length,
			      unsigned int flags, const char *text)
{
	struct gpumem_copy_plan plan = { .size = sizeof(plan) };

	assert_int_equal(gpumem_copy_explain(session, length, flags, &plan), 0);
	if (text && !strstr(plan.text, text))
		fail_msg("%s: no \"%s\"", plan.text, text);
	return plan.method;
}

static void every_way_has_an_end(void **state)
{
	struct gpumem_plan_step steps[STEPS];
	size_t count = plan_get(unit_session, steps), ends = 0;

	for (size_t i = 0; i < count; i++)
		ends += steps[i].up_to == UINT64_MAX;
	assert_int_equal(ends, 4);
	assert_int_equal(explained(unit_session, 4, 0, "built in"),
			 GPUMEM_COPY_CPU);
	assert_int_equal(explained(unit_session, 4, GPUMEM_COPY_READ,
				   "loads from"),
			 GPUMEM_COPY_CPU);
	assert_int_equal(explained(unit_session, UINT64_MAX, 0, "threads"),
			 GPUMEM_COPY_THREADS);
	count = 1;
	unit_expect_error(gpumem_plan_get(unit_session, steps, &count), -ENOSPC,
			  "give more", NULL);
	assert_true(count > 1);
}

/* A line of steps that the library must refuse. */
static void refuse(const struct gpumem_plan_step *step, const char *why)
{
	unit_expect_error(gpumem_plan_set(unit_session, step, 1, 0), -EINVAL,
			  why, NULL);
}

static void bad_plans_change_nothing(void **state)
{
	const struct gpumem_plan_step good = { 0, GPUMEM_COPY_CPU, 1, 0,
					       UINT64_MAX };
	struct gpumem_plan_step before[STEPS], after[STEPS], bad;
	size_t count = plan_get(unit_session, before);

	bad = good;
	bad.up_to = 4096;
	refuse(&bad, "no end");
	bad = good;
	bad.method = GPUMEM_COPY_AUTO;
	refuse(&bad, "method 0");
	bad = good;
	bad.method = GPUMEM_COPY_COURIER;
	refuse(&bad, "method 3");
	bad = good;
	bad.threads = 65;
	refuse(&bad, "65 threads");
	bad = good;
	bad.flags = 1u << 7;
	refuse(&bad, "flags 0x80");
	unit_expect_error(gpumem_plan_set(unit_session, &good, 1, 2), -EINVAL,
			  "GPUMEM_PLAN_SAVE", NULL);
	unit_expect_error(gpumem_plan_set(unit_session, NULL, 1, 0), -EINVAL,
			  "NULL", NULL);
	memset(after, 0, sizeof(after));
	assert_int_equal(plan_get(unit_session, after), count);
	assert_memory_equal(before, after, count * sizeof(after[0]));
}

static void a_saved_plan_is_found_again(void **state)
{
	const struct gpumem_plan_step mine[] = {
		{ 0, GPUMEM_COPY_ENGINE, 2, 0, UINT64_MAX },
		{ 0, GPUMEM_COPY_CPU, 1, 0, 1000 },
		{ GPUMEM_COPY_READ, GPUMEM_COPY_THREADS, 7, 0, UINT64_MAX },
	};
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	struct gpumem_plan_step steps[STEPS];
	char path[512];
	struct gpumem *session;
	struct stat st;

	assert_int_equal(gpumem_plan_path(unit_session, path, sizeof(path)), 0);
	assert_ptr_equal(strstr(path, cache), path);
	unit_expect_error(gpumem_plan_path(unit_session, path, 10), -ENOSPC,
			  "longer", NULL);
	assert_int_equal(gpumem_plan_path(unit_session, path, sizeof(path)), 0);
	assert_int_not_equal(stat(path, &st), 0);
	assert_int_equal(
		gpumem_plan_set(unit_session, mine, 3, GPUMEM_PLAN_SAVE), 0);
	assert_int_equal(stat(path, &st), 0);

	assert_int_equal(gpumem_open(&options, &session), 0);
	assert_int_equal(explained(session, 1000, 0, "as measured"),
			 GPUMEM_COPY_CPU);
	assert_int_equal(explained(session, 1001, 0, "as measured"),
			 GPUMEM_COPY_ENGINE);
	assert_int_equal(explained(session, 1, GPUMEM_COPY_READ, "load from"),
			 GPUMEM_COPY_THREADS);
	/* A way that was not named keeps its steps. */
	assert_int_equal(explained(session, 4,
				   GPUMEM_COPY_READ | GPUMEM_COPY_PINNED, NULL),
			 GPUMEM_COPY_CPU);
	assert_int_equal(plan_get(session, steps),
			 plan_get(unit_session, steps));
	assert_int_equal(gpumem_close(session), 0);

	/* Without steps: the built-in plan, and the file goes. */
	assert_int_equal(
		gpumem_plan_set(unit_session, NULL, 0, GPUMEM_PLAN_SAVE), 0);
	assert_int_not_equal(stat(path, &st), 0);
	assert_int_equal(explained(unit_session, 1001, 0, "built in"),
			 GPUMEM_COPY_CPU);
}

static void a_file_that_is_no_plan_is_passed_over(void **state)
{
	static const char *const texts[] = {
		"",
		"hello\n",
		"gpumem plan 1\nwrite pageable cpu 1\n",
		"gpumem plan 1\nwrite pageable cpu 1 4096\n",
		"gpumem plan 1\nwrite pageable courier 1 end\n",
		"gpumem plan 1\nread pageable cpu 99999 end\n",
		"gpumem plan 1\nread pageable magic 1 end\n",
		"gpumem plan 1\nread pageable cpu 1 -3x\n",
		"gpumem plan 10\nwrite pageable cpu 1 end\n",
		"gpumem plan 1\nwrite pageable cpu 1 end more\n",
		/* Each is 1 or UINT64_MAX to those who let numbers wrap. */
		"gpumem plan 1\nwrite pageable cpu 4294967297 end\n",
		"gpumem plan 1\nwrite pageable cpu -4294967295 end\n",
		"gpumem plan 1\nwrite pageable cpu 1 -1\n",
		"gpumem plan 1\nwrite pageable cpu 1 18446744073709551616\n",
	};
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	const struct gpumem_plan_step step = { 0, GPUMEM_COPY_CPU, 1, 0,
					       UINT64_MAX };
	struct gpumem *session;
	char path[512];
	FILE *out;

	assert_int_equal(gpumem_plan_path(unit_session, path, sizeof(path)), 0);
	assert_int_equal(
		gpumem_plan_set(unit_session, &step, 1, GPUMEM_PLAN_SAVE), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		out = fopen(path, "w");
		assert_non_null(out);
		fputs(texts[i], out);
		fclose(out);
		assert_int_equal(gpumem_open(&options, &session), 0);
		explained(session, 4, 0, "built in");
		assert_int_equal(gpumem_close(session), 0);
	}
	assert_int_equal(
		gpumem_plan_set(unit_session, NULL, 0, GPUMEM_PLAN_SAVE), 0);
}

/* CPUs that are told apart have files of their own. */
static void the_path_names_the_cpu(void **state)
{
	static const struct {
		const char *text, *name;
	} cpus[] = {
		{ "processor\t: 0\nmodel name\t: Fast (R) CPU @ 3 GHz\n",
		  "_Fast-R-CPU-3-GHz.plan" },
		{ "processor\t: 0\nCPU implementer\t: 0x41\n"
		  "CPU variant\t: 0x3\nCPU part\t: 0xd0c\n",
		  "0x41-0xd0c.plan" },
		{ "processor\t: 0\nCPU implementer\t: 0x41\n"
		  "CPU variant\t: 0x0\nCPU part\t: 0xd4f\n",
		  "0x41-0xd4f.plan" },
	};
	char path[512];

	for (size_t i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
		cpuinfo = cpus[i].text;
		assert_int_equal(
			gpumem_plan_path(unit_session, path, sizeof(path)), 0);
		cpuinfo = NULL;
		if (strlen(path) < strlen(cpus[i].name) ||
		    strcmp(path + strlen(path) - strlen(cpus[i].name),
			   cpus[i].name) != 0)
			fail_msg("%s is none of %s", path, cpus[i].name);
	}
}

static void a_long_comment_is_one_line(void **state)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	const struct gpumem_plan_step step = { 0, GPUMEM_COPY_CPU, 1, 0,
					       UINT64_MAX };
	struct gpumem *session;
	char path[512];
	FILE *out;

	assert_int_equal(gpumem_plan_path(unit_session, path, sizeof(path)), 0);
	assert_int_equal(
		gpumem_plan_set(unit_session, &step, 1, GPUMEM_PLAN_SAVE), 0);
	out = fopen(path, "w");
	assert_non_null(out);
	fprintf(out, "gpumem plan 1\n#%0999d\nwrite pageable engine 3 end\n",
		0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(gpumem_open(&options, &session), 0);
	assert_int_equal(explained(session, 4, 0, "as measured"),
			 GPUMEM_COPY_ENGINE);
	assert_int_equal(gpumem_close(session), 0);
	assert_int_equal(
		gpumem_plan_set(unit_session, NULL, 0, GPUMEM_PLAN_SAVE), 0);
}

/* Opens a session on the built-in plan, and looks into the log for why. */
static void expect_passed_over(const char *why)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	int log = dup(STDERR_FILENO);
	struct gpumem *session;
	FILE *lines = tmpfile();
	char line[1100];
	bool found = false;

	assert_true(log >= 0 && lines);
	assert_int_equal(dup2(fileno(lines), STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(gpumem_open(&options, &session), 0);
	assert_int_equal(dup2(log, STDERR_FILENO), STDERR_FILENO);
	close(log);
	explained(session, 4, 0, "built in");
	assert_int_equal(gpumem_close(session), 0);
	rewind(lines);
	while (fgets(line, sizeof(line), lines))
		found |= strstr(line, "the plan /") && strstr(line, why);
	fclose(lines);
	if (!found)
		fail_msg("the log does not say: %s", why);
}

static void a_file_that_others_may_have_made_is_passed_over(void **state)
{
	static const struct {
		mode_t mode;
		const char *why;
	} modes[] = { { 0620, "may write it" }, { 0602, "may write it" } };
	const struct gpumem_plan_step step = { 0, GPUMEM_COPY_ENGINE, 1, 0,
					       UINT64_MAX };
	char path[512];

	assert_int_equal(gpumem_plan_path(unit_session, path, sizeof(path)), 0);
	assert_int_equal(
		gpumem_plan_set(unit_session, &step, 1, GPUMEM_PLAN_SAVE), 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(path, modes[i].mode), 0);
		expect_passed_over(modes[i].why);
	}
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(truncate(path, 65537), 0);
	expect_passed_over("too large");
	if (!geteuid()) {
		assert_int_equal(truncate(path, 0), 0);
		assert_int_equal(chown(path, 12345, 0), 0);
		expect_passed_over("neither this user's nor root's");
	}
	/* Nobody writes into it: to wait would be for ever. */
	assert_int_equal(remove(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(60);
	expect_passed_over("no regular file");
	alarm(0);
	assert_int_equal(
		gpumem_plan_set(unit_session, NULL, 0, GPUMEM_PLAN_SAVE), 0);
}

static void a_folder_that_cannot_be_written_is_named(void **state)
{
	const struct gpumem_plan_step step = { 0, GPUMEM_COPY_ENGINE, 1, 0,
					       UINT64_MAX };

	setenv("XDG_CACHE_HOME", "/proc/self", 1);
	unit_expect_error(
		gpumem_plan_set(unit_session, &step, 1, GPUMEM_PLAN_SAVE),
		-ENOENT, "/proc/self/gpumem/", "cannot be written", NULL);
	setenv("XDG_CACHE_HOME", cache, 1);
	/* It was not taken over either. */
	assert_int_equal(explained(unit_session, 4, 0, "built in"),
			 GPUMEM_COPY_CPU);
}

static void file_read(const char *path, char *text, size_t size)
{
	FILE *in = fopen(path, "r");

	assert_non_null(in);
	text[fread(text, 1, size - 1, in)] = 0;
	fclose(in);
	assert_true(*text);
}

/* Nothing is left of what was begun, and the file before it stays. */
static void a_file_that_has_no_room_is_not_taken_over(void **state)
{
	const struct gpumem_plan_step old = { 0, GPUMEM_COPY_ENGINE, 1, 0,
					      UINT64_MAX };
	const struct gpumem_plan_step new = { 0, GPUMEM_COPY_THREADS, 2, 0,
					      UINT64_MAX };
	struct rlimit all, none = { 0, 0 };
	char path[512], kept[4096] = "", now[4096] = "";
	void (*handler)(int sig) = signal(SIGXFSZ, SIG_IGN);

	assert_int_equal(gpumem_plan_path(unit_session, path, sizeof(path)), 0);
	assert_int_equal(
		gpumem_plan_set(unit_session, &old, 1, GPUMEM_PLAN_SAVE), 0);
	file_read(path, kept, sizeof(kept));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	none.rlim_max = all.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	unit_expect_error(gpumem_plan_set(unit_session, &new, 1,
					  GPUMEM_PLAN_SAVE),
			  -EFBIG, path, "cannot be written", NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	signal(SIGXFSZ, handler);
	file_read(path, now, sizeof(now));
	assert_string_equal(now, kept);
	assert_int_equal(explained(unit_session, 4, 0, "as measured"),
			 GPUMEM_COPY_ENGINE);
	/* The folder has that file alone. */
	assert_int_equal(
		gpumem_plan_set(unit_session, NULL, 0, GPUMEM_PLAN_SAVE), 0);
	*strrchr(path, '/') = 0;
	assert_int_equal(rmdir(path), 0);
}

/* What comes from outside is shown so that it changes no terminal. */
static void control_characters_in_a_path_are_escaped(void **state)
{
	const struct gpumem_plan_step step = { 0, GPUMEM_COPY_ENGINE, 1, 0,
					       UINT64_MAX };

	setenv("XDG_CACHE_HOME",
	       "/proc/self/\033[2J\x7f\n\xff+\xc2\x9b+\xed\xa0\x80+\xe2\x82+"
	       "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
	       1);
	unit_expect_error(gpumem_plan_set(unit_session, &step, 1,
					  GPUMEM_PLAN_SAVE),
			  -ENOENT,
			  "/proc/self/\\x1b[2J\\x7f\\x0a\\xff+\\xc2\\x9b+"
			  "\\xed\\xa0\\x80+\\xe2\\x82+"
			  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80/gpumem/",
			  NULL);
	setenv("XDG_CACHE_HOME", cache, 1);
}

static void explain_checks_what_it_is_given(void **state)
{
	struct gpumem_copy_plan plan = { .size = sizeof(plan) };

	unit_expect_error(gpumem_copy_explain(unit_session, 4,
					      GPUMEM_COPY_PAGEABLE, &plan),
			  -EINVAL, "flags 0x4", NULL);
	unit_expect_error(gpumem_copy_explain(unit_session, 4, 0, NULL),
			  -EINVAL, "NULL", NULL);
	plan.size = 1;
	unit_expect_error(gpumem_copy_explain(unit_session, 4, 0, &plan),
			  -EINVAL, "size", NULL);
}

/* A plan is for a GPU and a CPU: who finds the file sees which. */
static void a_saved_plan_names_what_it_is_for(void **state)
{
	const struct gpumem_plan_step step = { 0, GPUMEM_COPY_CPU, 1, 0,
					       UINT64_MAX };
	struct gpumem_device device = { .size = sizeof(device) };
	char path[512], line[300] = "";
	FILE *in;

	assert_int_equal(gpumem_device_get(unit_session, 0, &device), 0);
	cpuinfo = "model name : Abacus 9000\n";
	assert_int_equal(gpumem_plan_path(unit_session, path, sizeof(path)), 0);
	assert_int_equal(
		gpumem_plan_set(unit_session, &step, 1, GPUMEM_PLAN_SAVE), 0);
	in = fopen(path, "r");
	assert_non_null(in);
	while (line[0] != '#' && fgets(line, sizeof(line), in))
		;
	fclose(in);
	assert_int_equal(
		gpumem_plan_set(unit_session, NULL, 0, GPUMEM_PLAN_SAVE), 0);
	cpuinfo = NULL;
	assert_non_null(strstr(line, device.name));
	assert_non_null(strstr(line, ", Abacus 9000\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_are_kept_and_checked),
		cmocka_unit_test(the_environment_sets_them),
		cmocka_unit_test(every_way_has_an_end),
		cmocka_unit_test(bad_plans_change_nothing),
		cmocka_unit_test(a_saved_plan_is_found_again),
		cmocka_unit_test(a_file_that_is_no_plan_is_passed_over),
		cmocka_unit_test(the_path_names_the_cpu),
		cmocka_unit_test(a_long_comment_is_one_line),
		cmocka_unit_test(
			a_file_that_others_may_have_made_is_passed_over),
		cmocka_unit_test(a_folder_that_cannot_be_written_is_named),
		cmocka_unit_test(a_file_that_has_no_room_is_not_taken_over),
		cmocka_unit_test(control_characters_in_a_path_are_escaped),
		cmocka_unit_test(explain_checks_what_it_is_given),
		cmocka_unit_test(a_saved_plan_names_what_it_is_for),
	};

	return group_run(tests, setup, teardown);
}
