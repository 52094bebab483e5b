// SPDX-License-Identifier: MIT
/* The parent of a filtered process, to which the filter reports calls. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#include "sandbox.h"

#define CALLS_MAX 512
#define STEP_LENGTH 64
#define OPTIONS \
	(PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)

/* How often each call was made since the last report. */
static unsigned int counts[CALLS_MAX];
static char step[STEP_LENGTH];

void sandbox_step(const char *name)
{
	/* It takes no arguments: the kernel looks at none. */
	syscall(__NR_getppid, name, strlen(name));
}

const char *sandbox_name(int nr)
{
	static const struct {
		int nr;
		const char *name;
	} others[] = {
#define NAME(name) { __NR_##name, #name },
		NAME(clock_gettime) NAME(clock_nanosleep) NAME(clone) NAME(clone3) NAME(dup) NAME(
			epoll_ctl) NAME(epoll_pwait) NAME(eventfd2) NAME(exit) NAME(faccessat) NAME(faccessat2)
			NAME(fallocate) NAME(fcntl) NAME(flock) NAME(fstat) NAME(fstatfs) NAME(ftruncate) NAME(
				get_mempolicy) NAME(getcwd) NAME(getdents64) NAME(getegid) NAME(geteuid)
				NAME(getgid) NAME(getpid) NAME(getppid) NAME(getrlimit) NAME(getrusage) NAME(
					gettid) NAME(getuid) NAME(lseek) NAME(mbind) NAME(membarrier) NAME(memfd_create)
					NAME(mincore) NAME(mlock) NAME(mremap) NAME(munlock) NAME(
						nanosleep) NAME(pipe2) NAME(ppoll) NAME(prctl)
						NAME(pread64) NAME(prlimit64) NAME(pwrite64) NAME(
							readlinkat) NAME(rseq) NAME(rt_sigaction) NAME(rt_sigprocmask)
							NAME(rt_sigreturn) NAME(sched_getaffinity) NAME(sched_setaffinity) NAME(
								sched_yield) NAME(set_mempolicy)
								NAME(set_robust_list) NAME(set_tid_address) NAME(
									sigaltstack) NAME(socket) NAME(statfs)
									NAME(statx) NAME(sysinfo) NAME(
										tgkill) NAME(uname) NAME(wait4)
#ifdef __NR_poll
										NAME(access) NAME(mkdir) NAME(
											open) NAME(poll)
											NAME(readlink) NAME(
												stat)
												NAME(unlink)
#endif
#undef NAME
	};

	for (size_t i = 0; i < SANDBOX_CALL_COUNT; i++)
		if (sandbox_calls[i].nr == nr)
			return sandbox_calls[i].name;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (others[i].nr == nr)
			return others[i].name;
	return NULL;
}

static void print_counts(enum sandbox_mode mode)
{
	bool any = false;

	for (int nr = 0; nr < CALLS_MAX; nr++) {
		const char *name = sandbox_name(nr);

		if (!counts[nr])
			continue;
		if (!any)
			printf("# %s: %s:", step,
			       mode == SANDBOX_LEARN ? "not on the list"
						     : "system calls");
		any = true;
		if (name)
			printf(" %s %u", name, counts[nr]);
		else
			printf(" number %d %u", nr, counts[nr]);
		counts[nr] = 0;
	}
	if (any)
		printf("\n");
	else if (mode == SANDBOX_COUNT && *step)
		printf("# %s: no system call\n", step);
	fflush(stdout);
}

/* Reads the name of the step that begins out of the process. */
static void begin_step(pid_t pid, const struct ptrace_syscall_info *info)
{
	size_t length = info->seccomp.args[1];
	struct iovec to = { step, length },
		     from = { (void *)info->seccomp.args[0], length };

	if (length >= sizeof(step) ||
	    process_vm_readv(pid, &to, 1, &from, 1, 0) != (ssize_t)length)
		length = 0;
	step[length] = '\0';
}

static void count_call(pid_t pid, enum sandbox_mode mode)
{
	struct ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0 ||
	    info.op != PTRACE_SYSCALL_INFO_SECCOMP)
		return;
	if (info.seccomp.nr == __NR_getppid) {
		print_counts(mode);
		begin_step(pid, &info);
	} else if (info.seccomp.nr < CALLS_MAX) {
		counts[info.seccomp.nr]++;
	}
}

/* What a stopped thread gets when it goes on. */
static int stop_signal(int status)
{
	int signal = WSTOPSIG(status);

	return signal == SIGTRAP || signal == SIGSTOP ? 0 : signal;
}

int sandbox_trace(pid_t child, enum sandbox_mode mode)
{
	int status = 0;

	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, child, 0, OPTIONS) ||
	    ptrace(PTRACE_CONT, child, 0, 0)) {
		printf("cannot trace the child: %s\n", strerror(errno));
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		return -1;
	}
	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0)
			return -1;
		if (!WIFSTOPPED(status)) {
			if (pid != child)
				continue;
			print_counts(mode);
			return status;
		}
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8))
			count_call(pid, mode);
		ptrace(PTRACE_CONT, pid, 0, stop_signal(status));
	}
}
