// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "two.h"

/*
 * CUDA reads CUDA_VISIBLE_DEVICES when it starts, so each value wants a process
 * of its own. It is this program again, which says on its standard output which
 * PCI addresses the ordinals have, or why there is none, a line each.
 */
static int child_open(const char *device_id, int ordinal)
{
	struct gpumem_options options = {
		.size = sizeof(options),
		.backend = two_backend,
		.device = ordinal,
		.device_id = device_id,
	};
	struct gpumem_device device = { .size = sizeof(device) };
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem *session;
	struct gpumem_buf *buf;
	void *cpu;
	int rc;

	rc = gpumem_open(&options, &session);
	if (rc) {
		printf("%d %s\n", rc, gpumem_last_error());
		return rc;
	}
	gpu.session = session;
	if (gpumem_device_get(session, -1, &device) ||
	    cuda_open(&gpu.cuda, session, device.ordinal) ||
	    gpumem_alloc(session, TWO_LENGTH, 0, &buf) ||
	    gpumem_buf_get(buf, &info) || gpumem_map(buf, &cpu)) {
		printf("broken %s\n", gpumem_last_error());
		return 0;
	}
	pattern_store(cpu, TWO_LENGTH, 50);
	if (pattern_check_gpu(info.addr, TWO_LENGTH, 50) == PASSED)
		printf("0 %s\n", device.pci);
	else
		printf("broken %s\n", test_why);
	gpumem_close(session);
	return 0;
}

int two_child_main(const char *device_id)
{
	if (*device_id) {
		child_open(device_id, 0);
		return 0;
	}
	for (int i = 0; i < 2; i++)
		child_open(NULL, i);
	return 0;
}

static void child_exec(const char *visible, const char *device_id,
		       const char *name)
{
	const char *arguments[] = { "test_two",	 "--child", device_id,
				    "--backend", name,	    NULL };

	setenv("CUDA_VISIBLE_DEVICES", visible, 1);
	setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
	execv("/proc/self/exe", (char **)arguments);
	_exit(127);
}

/* What a process says that sees only these GPUs. */
static enum outcome child_says(const char *visible, const char *device_id,
			       char *said, size_t room)
{
	const char *name = gpumem_backend_name(two_sides[0].session);
	size_t used = 0;
	ssize_t got;
	int ends[2], status;
	pid_t child;

	CHECK(!pipe(ends));
	fflush(stdout);
	child = fork();
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		child_exec(visible, device_id, name);
	}
	close(ends[1]);
	while ((got = read(ends[0], said + used, room - 1 - used)) > 0)
		used += got;
	said[used] = '\0';
	close(ends[0]);
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	if (status)
		return test_fail(__FILE__, __LINE__,
				 "with CUDA_VISIBLE_DEVICES=%s: status %x, "
				 "said: %s",
				 visible, status, said);
	return PASSED;
}

/* The lines must begin so. */
static enum outcome check_child(const char *visible, const char *device_id,
				const char *first, const char *second)
{
	char said[2048], *next;

	CHECK_PASSED(child_says(visible, device_id, said, sizeof(said)));
	next = strchr(said, '\n');
	if (next && !strncmp(said, first, strlen(first)) &&
	    (!second || !strncmp(next + 1, second, strlen(second))))
		return PASSED;
	return test_fail(__FILE__, __LINE__,
			 "with CUDA_VISIBLE_DEVICES=%s, %s: not %s, %s but %s",
			 visible, *device_id ? device_id : "by ordinal", first,
			 second ? second : "", said);
}

enum outcome two_test_visible(void)
{
	/* Numbers mean something else where the environment chooses already. */
	bool chosen = getenv("CUDA_VISIBLE_DEVICES");
	const char *zero = chosen ? two_sides[0].uuid : "0";
	const char *one = chosen ? two_sides[1].uuid : "1";
	char found[2][32], missing[16], both[100], swapped[100];

	for (int i = 0; i < 2; i++)
		snprintf(found[i], sizeof(found[i]), "0 %s",
			 two_sides[i].device.pci);
	snprintf(missing, sizeof(missing), "%d ", -ENOENT);
	snprintf(both, sizeof(both), "%s,%s", zero, one);
	snprintf(swapped, sizeof(swapped), "%s,%s", one, zero);
	CHECK_PASSED(check_child(both, "", found[0], found[1]));
	CHECK_PASSED(check_child(swapped, "", found[1], found[0]));
	CHECK_PASSED(check_child(zero, "", found[0], missing));
	CHECK_PASSED(check_child(one, "", found[1], missing));
	CHECK_PASSED(check_child(two_sides[1].uuid, "", found[1], missing));
	CHECK_PASSED(check_child(swapped, two_sides[1].uuid, found[1], NULL));
	/* A hidden one does not exist under any name. */
	CHECK_PASSED(check_child(one, two_sides[1].device.pci, found[1], NULL));
	CHECK_PASSED(check_child(one, two_sides[1].uuid, found[1], NULL));
	CHECK_PASSED(check_child(one, two_sides[0].device.pci, missing, NULL));
	CHECK_PASSED(check_child(one, two_sides[0].uuid, missing, NULL));
	return check_child("-1", "", "-", "-");
}
