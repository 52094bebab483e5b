// SPDX-License-Identifier: MIT
/*
 * How a backend is chosen. What cannot be used here must say why; a test of
 * that is skipped on a machine where it can.
 */
#include <stdio.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static int no_node(const char *node)
{
	return access(node, F_OK);
}

static bool no_gpu(void)
{
	return no_node("/dev/nvidiactl") && no_node("/dev/gpumem") &&
	       !system("! grep -qsi 0x10de /sys/bus/pci/devices/*/vendor");
}

/* The status of a backend here. */
static int status_of(unsigned int index, struct gpumem_backend *backend)
{
	backend->size = sizeof(*backend);
	assert_int_equal(gpumem_backend_get(index, backend), 0);
	return backend->status;
}

static int open_backend(const char *name, struct gpumem **session)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = name };

	return gpumem_open(&options, session);
}

static void backends_are_listed_in_their_order(void **state)
{
	static const char *const names[] = { "kmod", "rm", "dmabuf", "sim" };
	struct gpumem_backend backend;

	for (unsigned int i = 0; i < 4; i++) {
		status_of(i, &backend);
		assert_string_equal(backend.name, names[i]);
		assert_true(strlen(backend.reason) > 10);
		assert_null(strchr(backend.reason, '\n'));
		assert_true(backend.status <= 0);
		if (backend.status)
			assert_non_null(strchr(backend.reason, ';'));
	}
	unit_expect_error(gpumem_backend_get(4, &backend), -ENOENT,
			  "no backend 4", NULL);
	unit_expect_error(gpumem_backend_get(0, NULL), -EINVAL, "NULL", NULL);
	backend.size = 7;
	unit_expect_error(gpumem_backend_get(0, &backend), -EINVAL, "size is 7",
			  NULL);
}

static void kmod_says_that_the_module_is_not_loaded(void **state)
{
	struct gpumem_backend backend;
	struct gpumem *session;

	if (!no_node("/dev/gpumem"))
		skip();
	assert_int_equal(status_of(0, &backend), -ENODEV);
	assert_non_null(strstr(backend.reason, "/dev/gpumem is not there; "));
	/* What cannot help is not advised. */
	if (no_gpu()) {
		assert_null(strstr(backend.reason, "modprobe"));
		assert_non_null(strstr(backend.reason, "no NVIDIA GPU"));
	}
	unit_expect_error(open_backend("kmod", &session), -ENODEV,
			  "backend kmod is not usable", "/dev/gpumem", NULL);
}

static void rm_says_that_no_driver_is_loaded(void **state)
{
	struct gpumem_backend backend;
	struct gpumem *session;

	if (!no_node("/dev/nvidiactl"))
		skip();
	assert_int_equal(status_of(2, &backend), -ENODEV);
	assert_non_null(strstr(backend.reason, "no NVIDIA driver is loaded"));
	unit_expect_error(open_backend("rm", &session), -ENODEV,
			  "backend rm is not usable", "/dev/nvidiactl", NULL);
}

static void dmabuf_says_that_no_driver_is_loaded(void **state)
{
	struct gpumem_backend backend;
	struct gpumem *session;

	if (!no_node("/dev/nvidiactl"))
		skip();
	assert_int_equal(status_of(1, &backend), -ENODEV);
	assert_non_null(strstr(backend.reason, "no NVIDIA driver is loaded"));
	unit_expect_error(open_backend("dmabuf", &session), -ENODEV,
			  "backend dmabuf is not usable", NULL);
}

static void sim_says_where_it_is_looked_for(void **state)
{
	char *place = strdup(getenv("GPUMEM_SIM_LIBCUDA"));
	struct gpumem_backend backend;
	struct gpumem *session;

	assert_non_null(place);
	setenv("GPUMEM_SIM_LIBCUDA", "/nowhere/libcuda.so.1", 1);
	assert_int_equal(status_of(3, &backend), -ENODEV);
	assert_non_null(strstr(backend.reason, "GPUMEM_SIM_LIBCUDA"));
	unit_expect_error(open_backend("sim", &session), -ENODEV,
			  "backend sim is not usable", NULL);
	setenv("GPUMEM_SIM_LIBCUDA", "/dev/null", 1);
	unit_expect_error(open_backend("sim", &session), -ELIBACC, "/dev/null",
			  NULL);
	setenv("GPUMEM_SIM_LIBCUDA", place, 1);
	assert_int_equal(status_of(3, &backend), 0);
	assert_non_null(strstr(backend.reason, "simulated"));
	free(place);
}

/* Looking at the backends must not give the program the simulated libcuda. */
static void listing_loads_no_simulated_cuda(void **state)
{
	struct gpumem_backend backend;
	char line[512];
	FILE *file;

	status_of(3, &backend);
	file = fopen("/proc/self/maps", "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		assert_null(strstr(line, "libcuda"));
	fclose(file);
}

/* In the build tree, where nobody names it. */
static void the_simulated_cuda_is_found_beside_the_library(void **state)
{
	char *place = strdup(getenv("GPUMEM_SIM_LIBCUDA"));
	struct gpumem_backend backend;

	unsetenv("GPUMEM_SIM_LIBCUDA");
	assert_int_equal(status_of(3, &backend), 0);
	assert_non_null(strstr(backend.reason, "/sim/libcuda.so.1"));
	setenv("GPUMEM_SIM_LIBCUDA", place, 1);
	free(place);
}

/* Runs body in a child, and keeps what it says. */
static int child_of(int (*body)(void), char *said, size_t size)
{
	int pipes[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		dup2(pipes[1], STDERR_FILENO);
		_exit(body());
	}
	close(pipes[1]);
	while ((n = read(pipes[0], said + used, size - 1 - used)) > 0)
		used += n;
	said[used] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const char *child_backend;

static int open_twice(void)
{
	struct gpumem *session;
	int rc = open_backend(child_backend, &session);

	if (rc)
		return -rc;
	if (gpumem_close(session) || open_backend(child_backend, &session))
		return 254;
	return strcmp(gpumem_backend_name(session), "sim") ? 255 : 0;
}

/* Opens in a child, so that libraries and messages are a new process's. */
static int child_open(const char *name, char *said, size_t size)
{
	child_backend = name;
	return child_of(open_twice, said, size);
}

static void sim_is_chosen_where_there_is_no_gpu_and_says_so(void **state)
{
	char said[1000], *line;

	if (!no_gpu())
		skip();
	unsetenv("GPUMEM_BACKEND");
	unsetenv("GPUMEM_QUIET");
	assert_int_equal(child_open(NULL, said, sizeof(said)), 0);
	line = strstr(said, "gpumem: no NVIDIA GPU here: using the simulated "
			    "GPU\n");
	assert_non_null(line);
	/* Once, although the child opened twice. */
	assert_null(strstr(line + strlen("gpumem: no"), "gpumem: no"));
	setenv("GPUMEM_QUIET", "1", 1);
	assert_int_equal(child_open(NULL, said, sizeof(said)), 0);
	assert_string_equal(said, "");
	unsetenv("GPUMEM_QUIET");
}

static void the_environment_chooses_where_the_program_does_not(void **state)
{
	struct gpumem *session;
	char said[1000];

	setenv("GPUMEM_BACKEND", "sim", 1);
	assert_int_equal(child_open(NULL, said, sizeof(said)), 0);
	assert_string_equal(said, "");
	setenv("GPUMEM_BACKEND", "nonsense", 1);
	unit_expect_error(gpumem_open(NULL, &session), -EINVAL,
			  "no backend \"nonsense\"", NULL);
	/* The program's choice comes first. */
	assert_int_equal(child_open("sim", said, sizeof(said)), 0);
	if (no_node("/dev/gpumem")) {
		setenv("GPUMEM_BACKEND", "kmod", 1);
		unit_expect_error(gpumem_open(NULL, &session), -ENODEV,
				  "backend kmod", NULL);
	}
	unsetenv("GPUMEM_BACKEND");
}

static void what_a_variable_does_not_take_is_refused(void **state)
{
	static const struct {
		const char *name, *bad[4], *takes;
	} variables[] = {
		{ "GPUMEM_THREADS",
		  { "0", "65", "5x", "-1" },
		  "a whole number from 1 to 64" },
		{ "GPUMEM_COURIER",
		  { "2", "on", " 1", "1 " },
		  "a whole number from 0 to 1" },
		{ "GPUMEM_COPY_ENGINE",
		  { "2", "off" },
		  "a whole number from 0 to 1" },
		{ "GPUMEM_RM_CACHE",
		  { "1G", "-1", "17592186044416", "99999999999999999999999" },
		  "a whole number from 0 to 17592186044415" },
		{ "GPUMEM_QUIET", { "2", "yes" }, "from 0 to 1" },
		{ "GPUMEM_LOG", { "info", "1", "DEBUG" }, "debug" },
		{ "GPUMEM_CPU", { "abacus", "SSE2" }, "on this CPU" },
		{ "GPUMEM_SIM_GPUS", { "0", "9", "x" }, "from 1 to 8" },
		{ "GPUMEM_SIM_MEMORY_MB", { "1", "1048577" }, "from 2 to" },
		{ "GPUMEM_SIM_DEVICE", { "disk" }, "memfd or emulated" },
	};
	char before[64], text[160];
	struct gpumem *session;

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		const char *name = variables[i].name, *old = getenv(name);

		snprintf(before, sizeof(before), "%s", old ? old : "");
		for (int k = 0; k < 4 && variables[i].bad[k]; k++) {
			setenv(name, variables[i].bad[k], 1);
			snprintf(text, sizeof(text),
				 "%s in the environment is \"%s\"", name,
				 variables[i].bad[k]);
			unit_expect_error(open_backend("sim", &session),
					  -EINVAL, text, variables[i].takes,
					  NULL);
		}
		setenv(name, before, 1);
	}
}

static void the_debug_log_is_off_unless_asked_for(void **state)
{
	char said[4000];

	unsetenv("GPUMEM_LOG");
	assert_int_equal(child_open("sim", said, sizeof(said)), 0);
	assert_string_equal(said, "");
}

/* In a program of its own: the log is asked for once. */
static int use(void)
{
	struct gpumem_buf *buf;
	struct gpumem *session;
	void *cpu;

	return open_backend("sim", &session) ||
	       gpumem_alloc(session, 4096, 0, &buf) || gpumem_map(buf, &cpu) ||
	       gpumem_write(buf, 0, "abc", 3) || gpumem_close(session);
}

static int exec_use(void)
{
	setenv("GPUMEM_LOG", "debug", 1);
	execl("/proc/self/exe", "test_open", "use", NULL);
	return 127;
}

static void child_use(char *said, size_t size)
{
	int rc = child_of(exec_use, said, size);

	/* An emulator cannot start a program for its CPU. */
	if (rc == 127)
		skip();
	assert_int_equal(rc, 0);
}

/* As in a container that sets it for programs which need none. */
static void an_empty_variable_is_none(void **state)
{
	char said[8000];

	setenv("GPUMEM_CPU", "", 1);
	child_use(said, sizeof(said));
	unsetenv("GPUMEM_CPU");
	assert_non_null(strstr(said, "open: GPU 0"));
	assert_null(strstr(said, "GPUMEM_CPU"));
}

/* They are slow without, and else nobody would know. */
static void short_copies_are_not_counted(void **state)
{
	long barriers = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	char said[8000];

	if (barriers < 0 || !(barriers & MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		skip();
	child_use(said, sizeof(said));
	assert_non_null(strstr(said, "ended through membarrier()"));
}

static void the_versions_agree(void **state)
{
	char version[40];

	/* The header's, the library's, and that of the project's build. */
	snprintf(version, sizeof(version), "%d.%d.%d", GPUMEM_VERSION_MAJOR,
		 GPUMEM_VERSION_MINOR, GPUMEM_VERSION_PATCH);
	assert_string_equal(version, TEST_VERSION);
	assert_string_equal(gpumem_version(), TEST_VERSION);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backends_are_listed_in_their_order),
		cmocka_unit_test(kmod_says_that_the_module_is_not_loaded),
		cmocka_unit_test(rm_says_that_no_driver_is_loaded),
		cmocka_unit_test(dmabuf_says_that_no_driver_is_loaded),
		cmocka_unit_test(listing_loads_no_simulated_cuda),
		cmocka_unit_test(
			the_simulated_cuda_is_found_beside_the_library),
		cmocka_unit_test(
			sim_is_chosen_where_there_is_no_gpu_and_says_so),
		cmocka_unit_test(
			the_environment_chooses_where_the_program_does_not),
		cmocka_unit_test(what_a_variable_does_not_take_is_refused),
		cmocka_unit_test(the_debug_log_is_off_unless_asked_for),
		cmocka_unit_test(sim_says_where_it_is_looked_for),
		cmocka_unit_test(an_empty_variable_is_none),
		cmocka_unit_test(short_copies_are_not_counted),
		cmocka_unit_test(the_versions_agree),
	};

	if (argc > 1 && !strcmp(argv[1], "use"))
		return use();
	unsetenv("GPUMEM_BACKEND");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
