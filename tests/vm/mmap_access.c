// SPDX-License-Identifier: MIT
/*
 * Accesses to a mapping that do not come from the process's own instructions:
 * debuggers, system calls with it as their buffer, core dumps.
 */
#include "mapped.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* Not in the program: found in a core dump only if the mapping is. */
#define MARK (FIRST ^ 0x5a5a5a5a)

static void mapped_drop(struct mapped *m)
{
	munmap(m->at, MIB);
	close(m->fd);
	close(m->emu);
}

static int mem_open(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	return t_open(path);
}

/* 0, or the errno; EIO also for a short count. */
static int mem_rw(int mem, void *buf, size_t n, const void *at, bool write)
{
	off_t offset = (off_t)(uintptr_t)at;
	ssize_t got = write ? pwrite(mem, buf, n, offset)
			    : pread(mem, buf, n, offset);

	if (got < 0)
		return errno;
	return (size_t)got == n ? 0 : EIO;
}

static uint32_t cuda_word(const struct mapped *m, uint64_t offset)
{
	uint32_t value = 0;

	check_result(emu_read(m->emu, m->addr + offset, &value, 4), 0,
		     "reading");
	return value;
}

static void mode_proc_mem(void)
{
	struct mapped m = mapped_make();
	uint32_t *host = malloc(MIB), value = 0x31415926;
	int mem = mem_open(getpid());
	void *ro;

	need(host, "out of memory");
	check_result(mem_rw(mem, host, MIB, m.at, false), 0, "reading");
	counter_check(host, MIB / 4, FIRST, "through /proc/self/mem");
	/* Across a page boundary, not touched before through this mapping. */
	check_result(mem_rw(mem, &value, 4, m.at + GPU_PAGE - 2, true), 0,
		     "writing across pages");
	value = 0;
	check_result(emu_read(m.emu, m.addr + GPU_PAGE - 2, &value, 4), 0,
		     "reading");
	check(value == 0x31415926, "CUDA reads %#x", value);

	/* What the process may not do, /proc/self/mem does not do for it. */
	need(!t_mmap(m.fd, m.pin.mmap_offset, MIB, PROT_READ, MAP_SHARED, &ro),
	     "mmap");
	check_result(mem_rw(mem, &value, 4, ro, false), 0, "reading");
	value = 1;
	check_result(mem_rw(mem, &value, 4, ro, true), EIO,
		     "writing to a read-only mapping");
	check(cuda_word(&m, 0) == FIRST, "it was written: %#x",
	      cuda_word(&m, 0));
	check(!mprotect(ro, MIB, PROT_NONE), "mprotect");
	check_result(mem_rw(mem, &value, 4, ro, false), EIO,
		     "reading a mapping without rights");

	check_result(emu_free(m.emu, m.addr), 0, "freeing");
	check_result(mem_rw(mem, &value, 4, m.at, false), EIO,
		     "reading after revocation");
	check_result(mem_rw(mem, &value, 4, m.at, true), EIO,
		     "writing after revocation");
	munmap(ro, MIB);
	close(mem);
	free(host);
	mapped_drop(&m);
}

struct tracee {
	int ready[2], go[2];
};

/* Tells its mapping; frees the memory when told to, and waits to be killed. */
static void tracee_run(void *arg)
{
	struct tracee *t = arg;
	struct mapped m = mapped_make();
	char byte;

	need(write(t->ready[1], &m.at, sizeof(m.at)) == sizeof(m.at), "write");
	need(read(t->go[0], &byte, 1) == 1, "read");
	check(*(volatile uint32_t *)(m.at + 8) == 0x1234abcd,
	      "the tracee reads %#x", *(volatile uint32_t *)(m.at + 8));
	check_result(emu_free(m.emu, m.addr), 0, "freeing");
	need(write(t->ready[1], &m.at, sizeof(m.at)) == sizeof(m.at), "write");
	for (;;)
		pause();
}

static void tracee_stop(pid_t pid)
{
	need(!ptrace(PTRACE_ATTACH, pid, NULL, NULL), "PTRACE_ATTACH: %s",
	     strerror(errno));
	need(waitpid(pid, NULL, 0) == pid, "waitpid");
}

static void mode_ptrace(void)
{
	struct tracee t;
	pid_t pid;
	char *at;
	long word;

	need(!pipe(t.ready) && !pipe(t.go), "pipe");
	pid = t_fork(tracee_run, &t);
	need(read(t.ready[0], &at, sizeof(at)) == sizeof(at),
	     "the tracee told nothing");
	tracee_stop(pid);
	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, pid, at + 8, NULL);
	check(!errno &&
		      word == (long)(((uint64_t)FIRST + 3) << 32 | (FIRST + 2)),
	      "PEEKDATA gave %#lx: %s", word, strerror(errno));
	check(!ptrace(PTRACE_POKEDATA, pid, at + 8,
		      (void *)((((uint64_t)FIRST + 3) << 32) | 0x1234abcd)),
	      "POKEDATA: %s", strerror(errno));
	check(!ptrace(PTRACE_DETACH, pid, NULL, NULL), "PTRACE_DETACH");
	need(write(t.go[1], "", 1) == 1, "write");
	need(read(t.ready[0], &at, sizeof(at)) == sizeof(at), "read");
	tracee_stop(pid);
	errno = 0;
	ptrace(PTRACE_PEEKDATA, pid, at, NULL);
	check_result(errno, EIO, "PEEKDATA after revocation");
	check(ptrace(PTRACE_POKEDATA, pid, at, NULL) && errno == EIO,
	      "POKEDATA after revocation: %s", strerror(errno));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	emu_check_nothing_pinned("after the tracee");
}

/* Kernel code that wants pages to keep gets none. */
static void mode_gup(void)
{
	struct mapped m = mapped_make();
	struct iovec near, far = { .iov_base = m.at, .iov_len = 4096 };
	char buf[4096];
	int pipes[2];

	near = (struct iovec){ .iov_base = buf, .iov_len = sizeof(buf) };
	need(!pipe(pipes), "pipe");
	check(vmsplice(pipes[1], &far, 1, SPLICE_F_GIFT) < 0 && errno == EFAULT,
	      "vmsplice: %s", strerror(errno));
	errno = 0;
	process_vm_readv(getpid(), &near, 1, &far, 1, 0);
	if (errno != ENOSYS)
		check_result(errno, EFAULT, "process_vm_readv");
	errno = 0;
	process_vm_writev(getpid(), &near, 1, &far, 1, 0);
	if (errno != ENOSYS)
		check_result(errno, EFAULT, "process_vm_writev");
	check(syscall(SYS_futex, m.at, 0, FIRST, NULL, NULL, 0) < 0 &&
		      errno == EFAULT,
	      "a shared futex: %s", strerror(errno));
	close(pipes[0]);
	close(pipes[1]);
	mapped_drop(&m);
}

/* Kernel code that copies works, and fails cleanly once the memory is gone. */
static void mode_syscalls(void)
{
	struct mapped m = mapped_make();
	uint32_t *host = malloc(MIB);
	int file = memfd_create("gpumem", 0), pipes[2];
	ssize_t n;

	need(host && file >= 0 && !pipe(pipes), "memfd_create or pipe");
	check(pwrite(file, m.at, MIB, 0) == (ssize_t)MIB, "write from it: %s",
	      strerror(errno));
	check(pread(file, host, MIB, 0) == (ssize_t)MIB, "read");
	counter_check(host, MIB / 4, FIRST, "written to a file");
	counter_fill(host, MIB / 4, 0x0B000000);
	check(pwrite(file, host, MIB, 0) == (ssize_t)MIB, "write");
	check(pread(file, m.at, MIB, 0) == (ssize_t)MIB, "read into it: %s",
	      strerror(errno));
	check(cuda_word(&m, MIB - 4) == 0x0B000000 + MIB / 4 - 1,
	      "CUDA reads %#x", cuda_word(&m, MIB - 4));
	check(write(pipes[1], m.at + 6, 4000) == 4000, "write to a pipe: %s",
	      strerror(errno));
	check(read(pipes[0], m.at + MIB / 2, 4000) == 4000, "read: %s",
	      strerror(errno));
	/* The same addresses, never touched before. */
	munmap(m.at, MIB);
	need(!gm_map(m.fd, &m.pin, (void **)&m.at), "mmap");
	check(pwrite(file, m.at, MIB, 0) == (ssize_t)MIB,
	      "write from untouched pages: %s", strerror(errno));

	check_result(emu_free(m.emu, m.addr), 0, "freeing");
	n = pwrite(file, m.at, MIB, 0);
	check(n < 0 && errno == EFAULT, "write after revocation: %zd, %s", n,
	      strerror(errno));
	n = pread(file, m.at, MIB, 0);
	check(n < 0 && errno == EFAULT, "read after revocation: %zd, %s", n,
	      strerror(errno));
	n = write(pipes[1], m.at, 4000);
	check(n < 0 && errno == EFAULT, "a pipe after revocation: %zd, %s", n,
	      strerror(errno));
	close(pipes[0]);
	close(pipes[1]);
	close(file);
	free(host);
	mapped_drop(&m);
}

/* A value that must be in the dump, so that the search can fail. */
static volatile uint32_t dumped[4];

static void crash_run(void *arg)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct mapped m = mapped_make();
	size_t i;

	(void)arg;
	for (i = 0; i < MIB / 4; i++)
		((volatile uint32_t *)m.at)[i] = (uint32_t)(MARK + (i & 1));
	for (i = 0; i < 4; i++)
		dumped[i] = ~(uint32_t)(MARK + (i & 1));
	/* Everything that could be dumped. */
	i = (size_t)open("/proc/self/coredump_filter", O_WRONLY);
	if (write((int)i, "0xff", 4) != 4)
		_exit(1);
	prctl(PR_SET_DUMPABLE, 1);
	setrlimit(RLIMIT_CORE, &all);
	signal(SIGABRT, SIG_DFL);
	abort();
}

static size_t core_count(const uint32_t *core, size_t words, uint32_t invert)
{
	size_t i, n = 0;

	for (i = 0; i + 1 < words; i++)
		n += (core[i] ^ invert) == MARK &&
		     (core[i + 1] ^ invert) == MARK + 1;
	return n;
}

/* usage: coredump; the case has set core_pattern to /tmp/core */
static void mode_coredump(void)
{
	int status, core;
	uint32_t *bytes;
	off_t size;
	pid_t pid;

	unlink("/tmp/core");
	pid = t_fork(crash_run, NULL);
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
	      "the process ended with status %#x", (unsigned int)status);
	check(WCOREDUMP(status), "no core was dumped");
	core = t_open("/tmp/core");
	size = lseek(core, 0, SEEK_END);
	bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, core, 0);
	need(bytes != MAP_FAILED, "mmap of the core: %s", strerror(errno));
	printf("the core has %lld bytes\n", (long long)size);
	check(core_count(bytes, (size_t)size / 4, ~0u),
	      "the search finds nothing of the process");
	check(!core_count(bytes, (size_t)size / 4, 0),
	      "the core contains GPU memory");
	munmap(bytes, (size_t)size);
	close(core);
	unlink("/tmp/core");
	emu_check_nothing_pinned("after the crash");
}

static const struct t_mode modes[] = {
	{ "proc-mem", mode_proc_mem }, { "ptrace", mode_ptrace },
	{ "gup", mode_gup },	       { "syscalls", mode_syscalls },
	{ "coredump", mode_coredump },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
