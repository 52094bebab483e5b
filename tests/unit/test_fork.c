// SPDX-License-Identifier: MIT
/* A forked child can do nothing with its parent's session but close it. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

/* Runs body in a child: 0, or the line of the first check that failed. */
static int in_child(int (*body)(void *), void *arg)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child)
		_exit(body(arg));
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static unsigned int check_number;

#define CHECK(condition)                     \
	do {                                 \
		check_number++;              \
		if (!(condition))            \
			return check_number; \
	} while (0)

static bool says_parent(void)
{
	return strstr(gpumem_last_error(), "parent process") &&
	       strchr(gpumem_last_error(), ';');
}

static int use_everything(void *arg)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem_device device = { .size = sizeof(device) };
	struct gpumem_dmabuf dmabuf = { .size = sizeof(dmabuf) };
	struct gpumem_buf *buf = arg, *other;
	struct gpumem_dma *dma;
	size_t count = 1;
	uint64_t page;
	char byte = 0;
	void *cpu;
	int n;

	check_number = 0;
	CHECK(gpumem_map(buf, &cpu) == -EPERM && says_parent());
	/* What a call began it ends, also where it refuses. */
	CHECK(!pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &n) &&
	      n == PTHREAD_CANCEL_ENABLE);
	CHECK(gpumem_unmap(buf) == -EPERM && says_parent());
	CHECK(gpumem_buf_get(buf, &info) == -EPERM && says_parent());
	CHECK(gpumem_pages(buf, 0, &page, &count) == -EPERM && says_parent());
	CHECK(gpumem_write(buf, 0, &byte, 1) == -EPERM && says_parent());
	CHECK(gpumem_read(buf, 0, &byte, 1) == -EPERM && says_parent());
	CHECK(gpumem_read_unordered(buf, 0, &byte, 1) == -EPERM &&
	      says_parent());
	CHECK(gpumem_dma_map(buf, "3b:00.0", 0, &dma) == -EPERM);
	CHECK(gpumem_export_dmabuf(buf, 0, &dmabuf) == -EPERM && says_parent());
	CHECK(gpumem_unpin(buf) == -EPERM && says_parent());
	CHECK(gpumem_alloc(unit_session, 1, 0, &other) == -EPERM);
	CHECK(gpumem_pin(unit_session, 1, 1, 0, &other) == -EPERM);
	CHECK(gpumem_pin_with(unit_session, 1, 1, NULL, &other) == -EPERM);
	CHECK(gpumem_device_count(unit_session, &n) == -EPERM);
	CHECK(gpumem_device_get(unit_session, 0, &device) == -EPERM);
	CHECK(!gpumem_backend_name(unit_session) && says_parent());
	CHECK(!gpumem_cuda_symbol(unit_session, "cuInit") && says_parent());
	return 0;
}

static int close_twice(void *arg)
{
	check_number = 0;
	CHECK(!gpumem_close(unit_session));
	CHECK(gpumem_close(unit_session) == -EBADF);
	CHECK(gpumem_unpin(arg) == -EBADF);
	return 0;
}

static void a_child_may_not_use_its_parents_handles(void **state)
{
	struct gpumem_buf *buf;
	char bytes[100] = { 0 };

	assert_int_equal(gpumem_alloc(unit_session, MIB, 0, &buf), 0);
	unit_map(buf);
	/* From the second one on, short copies look at little. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(gpumem_write(buf, 0, bytes, sizeof(bytes)), 0);
	assert_int_equal(in_child(use_everything, buf), 0);
	assert_int_equal(gpumem_write(buf, 0, bytes, sizeof(bytes)), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
}

static int use_buffer(void *buf)
{
	char byte = 0;

	check_number = 0;
	CHECK(gpumem_write(buf, 0, &byte, 1) == -EPERM && says_parent());
	CHECK(gpumem_read(buf, 0, &byte, 1) == -EPERM && says_parent());
	CHECK(gpumem_doorbell(buf, 0, 1, 4) == -EPERM && says_parent());
	return 0;
}

/* Of all places that a handle has: the first is a session's otherwise. */
static void the_first_handle_is_the_parents_too(void **state)
{
	struct gpumem *other;
	struct gpumem_buf *buf;
	char byte = 0;

	assert_int_equal((uintptr_t)unit_session & 0xffffff, 0);
	assert_int_equal(gpumem_open(NULL, &other), 0);
	assert_int_equal(gpumem_close(unit_session), 0);
	assert_int_equal(gpumem_alloc(other, MIB, 0, &buf), 0);
	assert_int_equal((uintptr_t)buf & 0xffffff, 0);
	unit_map(buf);
	for (int i = 0; i < 3; i++)
		assert_int_equal(gpumem_write(buf, 0, &byte, 1), 0);
	assert_int_equal(in_child(use_buffer, buf), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	assert_int_equal(gpumem_open(NULL, &unit_session), 0);
	assert_int_equal(gpumem_close(other), 0);
}

static void a_childs_close_leaves_the_parents_session_alive(void **state)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem_buf *buf;
	char *cpu, seen[4];

	assert_int_equal(gpumem_alloc(unit_session, MIB, 0, &buf), 0);
	cpu = unit_map(buf);
	assert_int_equal(in_child(close_twice, buf), 0);
	memcpy(cpu, "abc", 4);
	assert_int_equal(gpumem_buf_get(buf, &info), 0);
	assert_int_equal(unit_cuda.to_host(seen, info.addr, 4), 0);
	assert_memory_equal(seen, "abc", 4);
	assert_int_equal(gpumem_unpin(buf), 0);
}

/* Whether the kernel can read the address for this process. */
static int reads(void *addr)
{
	int pipes[2];
	ssize_t n;

	if (pipe(pipes))
		return 2;
	n = write(pipes[1], addr, 1);
	close(pipes[0]);
	close(pipes[1]);
	return n == 1;
}

static void a_child_inherits_no_mapping(void **state)
{
	struct gpumem_buf *buf;
	void *cpu;

	assert_int_equal(gpumem_alloc(unit_session, MIB, 0, &buf), 0);
	cpu = unit_map(buf);
	assert_int_equal(reads(cpu), 1);
	assert_int_equal(in_child(reads, cpu), 0);
	assert_int_equal(gpumem_unpin(buf), 0);
}

struct busy {
	struct gpumem_buf *buf;
	atomic_uint place;
	atomic_bool stop;
};

static void *keep_busy(void *arg)
{
	struct busy *busy = arg;
	uint64_t at = atomic_fetch_add(&busy->place, 1) * 3000;
	char bytes[3000] = { 0 };

	while (!atomic_load(&busy->stop)) {
		struct gpumem_buf *buf;
		void *cpu;

		if (gpumem_write(busy->buf, at, bytes, sizeof(bytes)) ||
		    gpumem_alloc(unit_session, 5000, 0, &buf) ||
		    gpumem_map(buf, &cpu) || gpumem_unpin(buf))
			return "a call failed";
	}
	return NULL;
}

static void a_fork_amid_busy_threads_leaves_both_sides_working(void **state)
{
	struct busy busy = { 0 };
	pthread_t threads[3];

	assert_int_equal(gpumem_alloc(unit_session, MIB, 0, &busy.buf), 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, keep_busy, &busy);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(in_child(use_everything, busy.buf), 0);
		assert_int_equal(in_child(close_twice, busy.buf), 0);
	}
	atomic_store(&busy.stop, true);
	for (int i = 0; i < 3; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_null(result);
	}
	assert_int_equal(gpumem_unpin(busy.buf), 0);
}

static int without_close(void *arg)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	struct gpumem_buf *buf;
	struct gpumem *session;
	void *cpu;

	/* What the parent's CUDA left in this process is not this one's. */
	if (gpumem_open(&options, &session))
		return strchr(gpumem_last_error(), ';') ? 0 : 1;
	if (gpumem_alloc(session, MIB, 0, &buf) || gpumem_map(buf, &cpu))
		return 2;
	exit(0);
}

static void a_childs_own_open_works_or_says_why_not(void **state)
{
	assert_int_equal(in_child(without_close, NULL), 0);
}

static void no_descriptor_survives_exec(void **state)
{
	struct gpumem_buf *buf;
	struct dirent *entry;
	int found = 0;
	DIR *dir;

	assert_int_equal(gpumem_alloc(unit_session, MIB, 0, &buf), 0);
	unit_map(buf);
	dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[300], line[100] = "", target[300];
		int fd = atoi(entry->d_name);
		unsigned int flags = 0;
		ssize_t n;
		FILE *file;

		/* Standard output may be a file of any name. */
		if (entry->d_name[0] == '.' || fd <= STDERR_FILENO)
			continue;
		n = readlinkat(dirfd(dir), entry->d_name, target,
			       sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (!strstr(target, "gpumem") && !strstr(target, "memfd") &&
		    !strstr(target, "nvidia"))
			continue;
		found++;
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		file = fopen(path, "r");
		assert_non_null(file);
		while (fgets(line, sizeof(line), file))
			sscanf(line, "flags: %o", &flags);
		fclose(file);
		if (!(flags & 02000000))
			fail_msg("%s is not close-on-exec", target);
	}
	closedir(dir);
	/* The GPU's memory at least. */
	assert_true(found > 0);
	assert_int_equal(gpumem_unpin(buf), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_handle_is_the_parents_too),
		cmocka_unit_test(a_child_may_not_use_its_parents_handles),
		cmocka_unit_test(
			a_childs_close_leaves_the_parents_session_alive),
		cmocka_unit_test(a_child_inherits_no_mapping),
		cmocka_unit_test(
			a_fork_amid_busy_threads_leaves_both_sides_working),
		cmocka_unit_test(a_childs_own_open_works_or_says_why_not),
		cmocka_unit_test(no_descriptor_survives_exec),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
