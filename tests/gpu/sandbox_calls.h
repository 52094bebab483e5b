/* SPDX-License-Identifier: MIT */
/*
 * The system calls that a process must leave to the library, and when: what the
 * filter of sandbox.c lets pass. docs/sandbox.md shows the same table.
 */
#ifndef GPUMEM_SANDBOX_CALLS_H
#define GPUMEM_SANDBOX_CALLS_H

#include <stddef.h>
#include <sys/syscall.h>

/* From when on a filter lets a call pass. */
enum sandbox_after {
	AFTER_OPEN, /* gpumem_open() has returned */
	AFTER_CUDA, /* the program has a CUDA context, and opens a session yet */
};

struct sandbox_call {
	int nr;
	enum sandbox_after after; /* the later of the two that needs it */
	const char *name;
	const char *what_for;
};

/* clang-format off */
#define SANDBOX_CALL(after, name, what_for) { __NR_##name, after, #name, what_for },
#define SANDBOX_CALLS(C)                                                       \
	C(AFTER_OPEN, ioctl, "the driver's calls, the module's, CUDA's")       \
	C(AFTER_OPEN, openat, "the GPU's node for a mapping; `/proc/self/maps` for a refusal") \
	C(AFTER_OPEN, close, "the same")                                       \
	C(AFTER_OPEN, mmap, "mappings; memory of the C library")               \
	C(AFTER_OPEN, munmap, "the same")                                      \
	C(AFTER_OPEN, madvise, "keeps mappings from forked children")          \
	C(AFTER_OPEN, brk, "memory of the C library")                          \
	C(AFTER_OPEN, mprotect, "the same, in threads")                        \
	C(AFTER_OPEN, futex, "locks")                                          \
	C(AFTER_OPEN, getrandom, "random bytes to verify a mapping with")                 \
	C(AFTER_OPEN, read, "`/proc/self/maps` for a refusal")                 \
	C(AFTER_OPEN, newfstatat, "the same")                                  \
	C(AFTER_OPEN, fstat, "the same, of other C libraries")                 \
	C(AFTER_CUDA, lseek, "gpumem_open() looks at files of /sys")           \
	C(AFTER_CUDA, fcntl, "the same")                                       \
	C(AFTER_OPEN, write, "messages")                                       \
	C(AFTER_OPEN, clock_gettime, "times of the steps, where the kernel has no clock without a call") \
	C(AFTER_OPEN, getpid, "CUDA")                                          \
	C(AFTER_OPEN, pread64, "the simulated CUDA's copies")                  \
	C(AFTER_OPEN, pwrite64, "the same")                                    \
	C(AFTER_CUDA, getdents64, "gpumem_open() looks at PCI devices")        \
	C(AFTER_OPEN, membarrier, "the end of a handle that copied")           \
	C(AFTER_OPEN, process_vm_readv, "CUDA's record of memory of cuMemCreate that cannot be exported") \
	C(AFTER_OPEN, gettid, "the same: the calling thread")                  \
	C(AFTER_OPEN, clone3, "threads that copy")                             \
	C(AFTER_OPEN, clone, "the same, of C libraries before 2.34")           \
	C(AFTER_OPEN, set_robust_list, "the same")                             \
	C(AFTER_OPEN, rseq, "the same")                                        \
	C(AFTER_OPEN, rt_sigprocmask, "the same")                              \
	C(AFTER_OPEN, rt_sigaction, "the same")                                \
	C(AFTER_OPEN, prctl, "the same: their names")                          \
	C(AFTER_OPEN, sched_getaffinity, "the same: their CPUs")               \
	C(AFTER_OPEN, sched_setaffinity, "the same")                           \
	C(AFTER_OPEN, sched_yield, "waiting for them, and CUDA")               \
	C(AFTER_OPEN, mincore, "the simulated CUDA")                                       \
	C(AFTER_OPEN, exit, "the end of a thread")                             \
	C(AFTER_OPEN, exit_group, "the program's end")
/* clang-format on */

static const struct sandbox_call sandbox_calls[] = { SANDBOX_CALLS(
	SANDBOX_CALL) };

#define SANDBOX_CALL_COUNT (sizeof(sandbox_calls) / sizeof(sandbox_calls[0]))

#endif /* GPUMEM_SANDBOX_CALLS_H */
