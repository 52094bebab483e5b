// SPDX-License-Identifier: MIT
/*
 * Pins, maps, writes, reads, verifies and unpins under a seccomp filter that
 * kills the process at any system call that is not on the list of
 * sandbox_calls.h. Exits 0, or 1 when it was killed or found wrong data, 77
 * where the backend cannot be used.
 *
 *   sandbox [--backend NAME] [--after open|cuda] [--learn | --count]
 *   sandbox --list
 *
 * --after cuda   filters before gpumem_open(), in a process that has a CUDA
 *                context; otherwise after it
 * --learn        lets all calls pass and prints those that are not on the list
 * --count        lets all calls pass and prints how many each step makes
 * --list         prints the list as docs/sandbox.md has it
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <gpumem.h>

#include "cuda.h"
#include "sandbox.h"

#define SKIP 77

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

static const char *backend;
static enum sandbox_mode mode = SANDBOX_KILL;
static enum sandbox_after after = AFTER_OPEN;

static void fail(const char *what)
{
	printf("%s: %s\n", what, gpumem_last_error());
	fflush(stdout);
	_exit(1);
}

static void filter_add(struct sock_fprog *filter, struct sock_filter step)
{
	filter->filter[filter->len++] = step;
}

void sandbox_filter(enum sandbox_mode with, enum sandbox_after from)
{
	struct sock_filter steps[SANDBOX_CALL_COUNT * 2 + 8];
	struct sock_fprog filter = { .filter = steps };
	unsigned int otherwise = with == SANDBOX_KILL ? SECCOMP_RET_KILL_PROCESS
						      : SECCOMP_RET_TRACE;

	filter_add(&filter, (struct sock_filter)BPF_STMT(
				    BPF_LD | BPF_W | BPF_ABS,
				    offsetof(struct seccomp_data, arch)));
	filter_add(&filter, (struct sock_filter)BPF_JUMP(
				    BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
	filter_add(&filter, (struct sock_filter)BPF_STMT(
				    BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
	filter_add(&filter, (struct sock_filter)BPF_STMT(
				    BPF_LD | BPF_W | BPF_ABS,
				    offsetof(struct seccomp_data, nr)));
	for (size_t i = 0; i < SANDBOX_CALL_COUNT; i++) {
		if (with == SANDBOX_COUNT || sandbox_calls[i].after > from)
			continue;
		filter_add(&filter, (struct sock_filter)BPF_JUMP(
					    BPF_JMP | BPF_JEQ | BPF_K,
					    sandbox_calls[i].nr, 0, 1));
		filter_add(&filter,
			   (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
							SECCOMP_RET_ALLOW));
	}
	filter_add(&filter,
		   (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) {
		printf("no filter: %s\n", strerror(errno));
		fflush(stdout);
		_exit(SKIP);
	}
}

static void begin(const char *name)
{
	if (mode != SANDBOX_KILL)
		sandbox_step(name);
}

static struct gpumem *open_session(void)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = backend };
	struct gpumem *session;
	int rc = gpumem_open(&options, &session);

	if (!rc)
		return session;
	printf("open: %s\n", gpumem_last_error());
	fflush(stdout);
	_exit(rc == -EINVAL ? 1 : SKIP);
}

static void check_bytes(const unsigned char *found, size_t length,
			unsigned int seed, const char *what)
{
	for (size_t i = 0; i < length; i++) {
		if (found[i] !=
		    (unsigned char)((i * 2654435761u + seed) >> 9)) {
			printf("%s: byte %zu is wrong\n", what, i);
			fflush(stdout);
			_exit(1);
		}
	}
}

/* One buffer from pin to unpin. */
static void use_buffer(struct gpumem *session, const struct cuda *cuda,
		       uint64_t addr, size_t length, unsigned char *host,
		       const char *pin)
{
	struct gpumem_buf *buf;
	void *cpu;

	begin(pin);
	if (gpumem_pin(session, addr, length, 0, &buf))
		fail("pin");
	if (gpumem_map(buf, &cpu))
		fail("map");
	begin("write and read");
	for (size_t i = 0; i < length; i++)
		host[i] = (i * 2654435761u + length) >> 9;
	if (gpumem_write(buf, 0, host, length))
		fail("write");
	memset(host, 0, length);
	if (gpumem_read(buf, 0, host, length))
		fail("read");
	check_bytes(host, length, length, "read back");
	begin("verification by CUDA");
	memset(host, 0, length);
	if (cuda->copy_from_gpu(host, addr, length))
		fail("cuMemcpyDtoH");
	check_bytes(host, length, length, "seen by CUDA");
	begin("unmap and unpin");
	if (gpumem_unmap(buf) || gpumem_unpin(buf))
		fail("unpin");
}

static void check_refusals(struct gpumem *session, uint64_t addr)
{
	struct gpumem_buf *buf;
	char host[64];

	begin("refusals");
	if (gpumem_pin(session, (uintptr_t)host, 1, 0, &buf) != -EINVAL ||
	    gpumem_pin(session, addr, UINT64_MAX / 2, 0, &buf) != -ERANGE) {
		printf("what must be refused is not\n");
		fflush(stdout);
		_exit(1);
	}
}

static void use_all(struct gpumem *session, const struct cuda *cuda)
{
	static const size_t lengths[] = { 1 << 20, 100, 4097, 5 << 20 };
	unsigned char *host = malloc(5 << 20);
	uint64_t addr;

	if (!host)
		fail("malloc");
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		begin("cuMemAlloc");
		if (cuda->mem_alloc(&addr, lengths[i]))
			fail("cuMemAlloc");
		use_buffer(session, cuda, addr, lengths[i], host,
			   "first pin and map");
		use_buffer(session, cuda, addr, lengths[i], host,
			   "later pin and map");
		check_refusals(session, addr);
		begin("cuMemFree");
		if (cuda->mem_free(addr))
			fail("cuMemFree");
	}
	begin("end");
}

static void run(void)
{
	struct gpumem *session;
	struct cuda cuda;

	session = open_session();
	/* Beside the session's, the program's own use of the context. */
	if (cuda_open(&cuda, session, 0)) {
		printf("%s\n", cuda.why);
		fflush(stdout);
		_exit(1);
	}
	if (after == AFTER_CUDA && gpumem_close(session))
		fail("close");
	fflush(stdout);
	sandbox_filter(mode, after);
	if (after == AFTER_CUDA) {
		begin("gpumem_open");
		session = open_session();
	}
	use_all(session, &cuda);
	printf("ok\n");
	fflush(stdout);
	_exit(0);
}

static int list(void)
{
	printf("| system call | after gpumem_open() | after CUDA's start | "
	       "what for |\n|---|---|---|---|\n");
	for (size_t i = 0; i < SANDBOX_CALL_COUNT; i++)
		printf("| `%s` | %s | yes | %s |\n", sandbox_calls[i].name,
		       sandbox_calls[i].after == AFTER_OPEN ? "yes" : "no",
		       sandbox_calls[i].what_for);
	return 0;
}

static int usage(const char *word)
{
	fprintf(stderr, "sandbox: %s: not understood\n", word);
	return 2;
}

static int run_child(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		return 1;
	}
	if (!pid) {
		if (mode != SANDBOX_KILL) {
			ptrace(PTRACE_TRACEME, 0, 0, 0);
			raise(SIGSTOP);
		}
		run();
	}
	if (mode != SANDBOX_KILL)
		status = sandbox_trace(pid, mode);
	else if (waitpid(pid, &status, 0) != pid)
		status = -1;
	if (status >= 0 && WIFEXITED(status))
		return WEXITSTATUS(status);
	printf("ended by signal %d%s\n", WTERMSIG(status),
	       status >= 0 && WTERMSIG(status) == SIGSYS
		       ? ": a system call that is not on the list; see --learn"
		       : "");
	return 1;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;

		if (!strcmp(argv[i], "--backend") && more)
			backend = argv[++i];
		else if (!strcmp(argv[i], "--after") && more &&
			 !strcmp(argv[i + 1], "cuda"))
			after = AFTER_CUDA, i++;
		else if (!strcmp(argv[i], "--after") && more &&
			 !strcmp(argv[i + 1], "open"))
			i++;
		else if (!strcmp(argv[i], "--learn"))
			mode = SANDBOX_LEARN;
		else if (!strcmp(argv[i], "--count"))
			mode = SANDBOX_COUNT;
		else if (!strcmp(argv[i], "--list"))
			return list();
		else
			return usage(argv[i]);
	}
	return run_child();
}
