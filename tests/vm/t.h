/* SPDX-License-Identifier: MIT */
/*
 * What the test programs of the virtual machine share: checks that name what
 * was expected and what was found, the emulated GPU's CUDA side, pins through
 * both interfaces of /dev/gpumem, accesses that survive a signal, and races.
 *
 * A program that failed a check prints it and exits with 1 in the end; one that
 * cannot go on stops at once, also with 1.
 *
 * No check depends on how fast the machine is: the clock goes on while the host is
 * busy with other things. Programs wait for a state, not for a time, and races go
 * on until they have shown something. vm.py limits each case in the VM's own time.
 */
#ifndef GPUMEM_VM_T_H
#define GPUMEM_VM_T_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/gpumem.h>
#include "gpumem_emu.h"
#include "gpumemioctl.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
/* The kernel's, of which an arm64 kernel has one of three sizes. */
#define PAGE ((uint64_t)sysconf(_SC_PAGESIZE))
#define GPU_PAGE 65536ull
/* No allocation of the emulated GPU lies here. */
#define NOWHERE 0x123456780000ull

/* A result that a check compares: 0 or an errno, never -1. */
#define check_result(found, want, ...) \
	t_check_result(__FILE__, __LINE__, (found), (want), __VA_ARGS__)
#define check(ok, ...) t_check(__FILE__, __LINE__, (ok), __VA_ARGS__)
#define need(ok, ...)                                                \
	do {                                                         \
		if (!t_check(__FILE__, __LINE__, (ok), __VA_ARGS__)) \
			exit(1);                                     \
	} while (0)

bool t_check(const char *file, int line, bool ok, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
bool t_check_result(const char *file, int line, int found, int want,
		    const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* The program's exit code: 1 if any check of this process failed. */
int t_end(void);

/* A named part of a program, run when the first argument is its name. */
struct t_mode {
	const char *name;
	void (*run)(void);
};

/* Runs the mode that argv[1] names; without one, all of them in order. */
int t_main(int argc, char **argv, const struct t_mode *modes, size_t count);

/* System calls that return 0 or the errno. */
int t_ioctl(int fd, unsigned long nr, void *arg);
int t_mmap(int fd, uint64_t offset, size_t length, int prot, int flags,
	   void **at);
int t_map(int fd, uint64_t offset, size_t length, void **at);
int t_open(const char *path);
/* Writes a file below /sys; stops the program if that fails. */
void t_file_write(const char *path, const char *text);

/*
 * An access that may raise a signal: returns 0, SIGBUS or SIGSEGV. Any thread
 * may call them, after t_signals_catch() once in the process.
 */
void t_signals_catch(void);
int t_load(const volatile void *at, uint32_t *value);
int t_store(volatile void *at, uint32_t value);

/* Runs a function in a child and checks that all its checks passed. */
void t_child(const char *name, void (*run)(void *), void *arg);
/* The same by halves. */
pid_t t_fork(void (*run)(void *), void *arg);
void t_join(const char *name, pid_t pid);

int t_fd_send(int sock, int fd);
int t_fd_receive(int sock);

/* The next number of a generator that is replayed by its first state. */
uint32_t t_random(uint64_t *state);
uint64_t t_now_ms(void);
void t_sleep_us(unsigned int us);

/*
 * The wait for a state that must come, in milliseconds: too long for any machine,
 * and over before the limit of the case, so that the program says what it missed.
 */
#define T_WAIT_MS 120000
/* Waits until ready() is true; false if that takes longer than T_WAIT_MS. */
bool t_wait(bool (*ready)(void *arg), void *arg);

/* Waits until a child sleeps in the kernel, where no handler of a signal runs. */
bool t_wait_asleep(pid_t pid);
/* kill -9 of a child; false if it is still there after T_WAIT_MS. */
bool t_kill(pid_t pid);

/* Zeroed memory that the children of this process share with it. */
void *t_shared(size_t bytes);

/* An event that a race must bring about so often to show anything. */
struct t_kind {
	const char *name;
	const atomic_uint *count;
	unsigned int least;
};

/* True while an event came too seldom; the first time it prints which. */
bool t_missing(const struct t_kind *kinds, size_t count);
/* Lets other threads race for some time, and until nothing is missing. */
void t_race(uint64_t ms, const struct t_kind *kinds, size_t count);

struct t_storm {
	unsigned long kills;
	uint64_t seed;
	/* Does its work over and over; never returns. */
	void (*victim)(uint64_t seed);
	const struct t_kind *kinds;
	size_t count;
};

/*
 * kill -9 of one victim after the other, at random moments: so many, and until
 * nothing is missing. A victim calls t_storm_round() after each round of its work:
 * victims live as long as it takes half of them to come so far.
 */
void t_storm(const struct t_storm *storm);
void t_storm_round(void);

/* The CUDA side. */
int emu_open(void);
int emu_try_alloc(int fd, uint64_t length, uint64_t *addr);
uint64_t emu_alloc(int fd, uint64_t length);
int emu_free(int fd, uint64_t addr);
int emu_read(int fd, uint64_t addr, void *to, size_t length);
int emu_write(int fd, uint64_t addr, const void *from, size_t length);
struct gpumem_emu_counters emu_counters(void);
/* Waits until nothing is pinned; false, saying what is, if that does not come. */
bool emu_check_nothing_pinned(const char *when);

/* The module, new interface. */
int gm_open(void);
int gm_pin(int fd, uint64_t addr, uint64_t length, struct gpumem_pin *pin);
/* Pins and stops the program if that fails. */
struct gpumem_pin gm_must_pin(int fd, uint64_t addr, uint64_t length);
int gm_unpin(int fd, uint32_t pin);
int gm_info(int fd, uint32_t pin, struct gpumem_info *info);
int gm_pages(int fd, uint32_t pin, uint64_t first, uint64_t *pages,
	     uint64_t *count);
/* Maps every page of a pin; *at is the first page's first byte. */
int gm_map(int fd, const struct gpumem_pin *pin, void **at);
size_t gm_bytes(const struct gpumem_pin *pin);

/* The module, original interface. */
int seed_lock(int fd, uint64_t addr, uint64_t size, void **handle,
	      size_t *page_count);
int seed_state(int fd, void *handle, size_t room, struct gpudma_state_t **out);
int seed_unlock(int fd, void *handle);

/* Fills with first, first + 1, ...; finds the first word that differs. */
void counter_fill(volatile void *at, size_t words, uint32_t first);
bool counter_check(const void *at, size_t words, uint32_t first,
		   const char *what);

#endif /* GPUMEM_VM_T_H */
