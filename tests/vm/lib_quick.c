// SPDX-License-Identifier: MIT
/*
 * Small copies of a mapped buffer, instruction by instruction: after the first
 * they pass no locked one, which on x86 waits for the stores to be out, and no
 * system call. That holds for a buffer however it came to its mapping.
 */
#include <sys/ptrace.h>
#include <sys/user.h>

#include "t_lib.h"

/* More than such a copy takes, by far. */
#define STEPS_MAX 1000

static struct gpumem_buf *buf;
static char bytes[64];

/* Prefixes, then the opcode: lock, xchg with memory, syscall. */
static const char *slow_kind(const unsigned char *code)
{
	size_t i = 0;

	while (i < 8 &&
	       (code[i] == 0x66 || code[i] == 0x2e || code[i] == 0x3e ||
		code[i] == 0x64 || code[i] == 0xf2 || code[i] == 0xf3))
		i++;
	if (code[i] == 0xf0)
		return "a locked instruction";
	if ((code[i] & 0xf0) == 0x40)
		i++;
	if ((code[i] == 0x86 || code[i] == 0x87) && code[i + 1] < 0xc0)
		return "an exchange with memory";
	if (code[i] == 0x0f && code[i + 1] == 0x05)
		return "a system call";
	return NULL;
}

static bool is_trap(pid_t pid, uint64_t rip)
{
	long word = ptrace(PTRACE_PEEKTEXT, pid, (void *)rip, 0);

	return (word & 0xff) == 0xcc;
}

/* The child stands behind its first int3; goes on to its next one. */
static void follow(pid_t pid, const char *what)
{
	struct user_regs_struct regs;
	const char *slow = NULL;
	int steps = 0, status;

	for (;;) {
		unsigned char code[16];
		long word[2];

		need(!ptrace(PTRACE_GETREGS, pid, 0, &regs), "PTRACE_GETREGS");
		if (is_trap(pid, regs.rip))
			break;
		for (int i = 0; i < 2; i++)
			word[i] = ptrace(
				PTRACE_PEEKTEXT, pid,
				(void *)(regs.rip + 8ull * (unsigned int)i), 0);
		memcpy(code, word, sizeof(code));
		if (!slow)
			slow = slow_kind(code);
		need(steps++ < STEPS_MAX, "%s takes more than %d instructions",
		     what, STEPS_MAX);
		need(!ptrace(PTRACE_SINGLESTEP, pid, 0, 0),
		     "PTRACE_SINGLESTEP");
		need(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
			     WSTOPSIG(status) == SIGTRAP,
		     "%s: the child's status is %#x", what,
		     (unsigned int)status);
	}
	check(!slow, "%s: there is %s in it", what, slow);
	printf("%s: %d instructions\n", what, steps);
}

static void copy(bool read)
{
	t_lib_ok(read ? gpumem_read(buf, 64, bytes, 8)
		      : gpumem_write(buf, 64, bytes, 8),
		 read ? "gpumem_read" : "gpumem_write");
}

/* Ways to a mapped buffer. */
static void make_new(struct gpumem *session)
{
	buf = t_lib_pin(session, t_lib_alloc(MIB), MIB, 0);
}

static void make_again(struct gpumem *session)
{
	uint64_t addr = t_lib_alloc(MIB);

	buf = t_lib_pin(session, addr, MIB, 0);
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	buf = t_lib_pin(session, addr, MIB, 0);
}

static void make_own(struct gpumem *session)
{
	t_lib_ok(gpumem_alloc(session, MIB, 0, &buf), "gpumem_alloc");
}

/* A process of its own: the same call again and again, then between two int3. */
static void child_run(const char *backend, void (*make)(struct gpumem *),
		      bool read)
{
	struct gpumem *session = t_lib_open(backend);
	void *addr;

	make(session);
	t_lib_ok(gpumem_map(buf, &addr), "gpumem_map");
	for (int i = 0; i < 5; i++)
		copy(read);
	need(!ptrace(PTRACE_TRACEME, 0, 0, 0), "PTRACE_TRACEME");
	__asm__ volatile("int3");
	copy(read);
	__asm__ volatile("int3");
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	t_lib_close(session);
	exit(t_end());
}

static void check_quick(const char *backend, void (*make)(struct gpumem *),
			bool read, const char *what)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		child_run(backend, make, read);
	need(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
		     WSTOPSIG(status) == SIGTRAP,
	     "%s, %s: the child's status is %#x", backend, what,
	     (unsigned int)status);
	follow(pid, what);
	/* Over the second int3. */
	need(!ptrace(PTRACE_CONT, pid, 0, 0) &&
		     waitpid(pid, &status, 0) == pid && WIFSTOPPED(status),
	     "PTRACE_CONT");
	need(!ptrace(PTRACE_CONT, pid, 0, 0) && waitpid(pid, &status, 0) == pid,
	     "PTRACE_CONT");
	check(!status, "%s, %s: the child's status is %#x", backend, what,
	      (unsigned int)status);
}

int main(int argc, char **argv)
{
	const char *backend = argc > 1 ? argv[1] : "rm";

	printf("backend %s\n", backend);
	check_quick(backend, make_new, false,
		    "write, pinned for the first time");
	check_quick(backend, make_new, true, "read, pinned for the first time");
	check_quick(backend, make_again, false, "write, pinned again");
	check_quick(backend, make_again, true, "read, pinned again");
	check_quick(backend, make_own, false, "write, of gpumem_alloc()");
	check_quick(backend, make_own, true, "read, of gpumem_alloc()");
	return t_end();
}
