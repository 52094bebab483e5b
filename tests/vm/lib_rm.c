// SPDX-License-Identifier: MIT
/* The library's rm backend over the emulated driver. */
#include "t.h"

#include <gpumem.h>
#include <sys/prctl.h>
#include <sys/resource.h>

typedef int (*cu_mem_alloc)(uint64_t *, size_t);
typedef int (*cu_mem_free)(uint64_t);
typedef int (*cu_copy_to_host)(void *, uint64_t, size_t);

static struct {
	struct gpumem *session;
	cu_mem_alloc alloc;
	cu_mem_free free;
	cu_copy_to_host to_host;
} rm;

/* The session retains the primary context; this thread must make it current. */
static void rm_context(void)
{
	int (*retain)(void **, int), (*current)(void *);
	void *f = gpumem_cuda_symbol(rm.session, "cuDevicePrimaryCtxRetain");
	void *g = gpumem_cuda_symbol(rm.session, "cuCtxSetCurrent"), *context;

	need(f && g, "libcuda lacks the primary context");
	memcpy(&retain, &f, sizeof(f));
	memcpy(&current, &g, sizeof(g));
	need(!retain(&context, 0) && !current(context), "no CUDA context");
}

static void rm_open(void)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "rm" };
	int r = gpumem_open(&options, &rm.session);
	void *f[3];
	int i;

	need(!r, "gpumem_open: %s: %s", strerror(-r), gpumem_last_error());
	f[0] = gpumem_cuda_symbol(rm.session, "cuMemAlloc_v2");
	f[1] = gpumem_cuda_symbol(rm.session, "cuMemFree_v2");
	f[2] = gpumem_cuda_symbol(rm.session, "cuMemcpyDtoH_v2");
	for (i = 0; i < 3; i++)
		need(f[i], "libcuda lacks function %d", i);
	memcpy(&rm.alloc, &f[0], sizeof(f[0]));
	memcpy(&rm.free, &f[1], sizeof(f[1]));
	memcpy(&rm.to_host, &f[2], sizeof(f[2]));
	rm_context();
}

static void rm_close(void)
{
	int r = gpumem_close(rm.session);

	check_result(-r, 0, "gpumem_close: %s", gpumem_last_error());
}

static uint64_t rm_alloc(size_t length)
{
	uint64_t addr;
	int r = rm.alloc(&addr, length);

	need(!r, "cuMemAlloc: CUDA error %d", r);
	return addr;
}

/* A library call that must fail, and say why. */
static void check_error(int found, int want, const char *what)
{
	check_result(-found, want, "%s", what);
	if (found)
		check(strlen(gpumem_last_error()) > 10,
		      "%s: the reason is \"%s\"", what, gpumem_last_error());
}

static void mode_data(void)
{
	static const struct {
		uint64_t offset, length;
	} cases[] = { { 0, 1 },		 { 1, 4096 },	 { 65535, 2 },
		      { 0, MIB },	 { 12345, MIB }, { 511, 3 * MIB },
		      { 4 * MIB - 1, 1 } };
	uint64_t addr;
	size_t i;

	rm_open();
	addr = rm_alloc(4 * MIB);
	check(!strcmp(gpumem_backend_name(rm.session), "rm"), "backend %s",
	      gpumem_backend_name(rm.session));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *want = malloc(cases[i].length);
		uint8_t *found = calloc(1, cases[i].length);
		uint64_t at = addr + cases[i].offset, k;
		struct gpumem_buf *buf;
		void *cpu;
		int r = gpumem_pin(rm.session, at, cases[i].length, 0, &buf);

		need(!r && want && found, "gpumem_pin: %s",
		     gpumem_last_error());
		r = gpumem_map(buf, &cpu);
		need(!r, "gpumem_map: %s", gpumem_last_error());
		for (k = 0; k < cases[i].length; k++)
			want[k] = (uint8_t)(k * 7 + i);
		memcpy(cpu, want, cases[i].length);
		r = rm.to_host(found, at, cases[i].length);
		need(!r, "cuMemcpyDtoH: CUDA error %d", r);
		check(!memcmp(want, found, cases[i].length),
		      "%llu bytes at offset %llu: CUDA sees other data",
		      (unsigned long long)cases[i].length,
		      (unsigned long long)cases[i].offset);
		check_result(-gpumem_unpin(buf), 0, "gpumem_unpin: %s",
			     gpumem_last_error());
		free(want);
		free(found);
	}
	rm.free(addr);
	rm_close();
}

/* No mapping keeps a descriptor. */
static void mode_many(void)
{
	static struct gpumem_buf *bufs[300];
	static uint64_t addrs[300];
	const size_t count = sizeof(bufs) / sizeof(bufs[0]);
	struct rlimit limit = { .rlim_cur = 40, .rlim_max = 40 };
	uint32_t seen = 0;
	size_t i;

	need(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit: %s",
	     strerror(errno));
	rm_open();
	for (i = 0; i < count; i++) {
		void *cpu;
		int r;

		addrs[i] = rm_alloc(65536);
		r = gpumem_pin(rm.session, addrs[i], 65536, 0, &bufs[i]);
		if (!r)
			r = gpumem_map(bufs[i], &cpu);
		need(!r, "pin and map %zu: %s", i, gpumem_last_error());
		*(volatile uint32_t *)cpu = (uint32_t)i;
	}
	for (i = 0; i < count; i++) {
		need(!rm.to_host(&seen, addrs[i], sizeof(seen)),
		     "cuMemcpyDtoH");
		check(seen == i, "buffer %zu: CUDA sees %u", i, seen);
		check_result(-gpumem_unpin(bufs[i]), 0, "gpumem_unpin: %s",
			     gpumem_last_error());
		rm.free(addrs[i]);
	}
	rm_close();
}

struct stranger {
	int go[2], done[2];
};

static void stranger_run(void *arg)
{
	struct stranger *s = arg;
	uint64_t addr;
	char byte;

	rm_open();
	addr = rm_alloc(MIB);
	need(write(s->go[1], &addr, 8) == 8 && read(s->done[0], &byte, 1) == 1,
	     "talking to the parent");
	rm.free(addr);
	rm_close();
}

static void mode_errors(void)
{
	uint64_t addr, freed, theirs, host = 0;
	struct gpumem_buf *buf = NULL;
	struct stranger s;
	pid_t pid;

	need(!pipe(s.go) && !pipe(s.done), "pipe: %s", strerror(errno));
	pid = t_fork(stranger_run, &s);
	close(s.go[1]);
	need(read(s.go[0], &theirs, 8) == 8, "the other process told nothing");
	rm_open();
	addr = rm_alloc(2 * MIB);
	freed = rm_alloc(2 * MIB);
	rm.free(freed);

	check_error(gpumem_pin(rm.session, addr, 0, 0, &buf), EINVAL,
		    "0 bytes");
	check_error(gpumem_pin(rm.session, NOWHERE, 1, 0, &buf), EINVAL,
		    "no GPU memory");
	check_error(gpumem_pin(rm.session, (uintptr_t)&host, 8, 0, &buf),
		    EINVAL, "host memory");
	check_error(gpumem_pin(rm.session, freed, 1, 0, &buf), EINVAL,
		    "freed memory");
	check_error(gpumem_pin(rm.session, theirs, 1, 0, &buf), EINVAL,
		    "another process's memory");
	check_error(gpumem_pin(rm.session, addr, 2 * MIB + 1, 0, &buf), ERANGE,
		    "one byte past the end");
	check_error(gpumem_pin(rm.session, addr + MIB, UINT64_MAX, 0, &buf),
		    ERANGE, "a sum past 2^64");
	check_error(gpumem_pin(rm.session, addr, MIB, 1u << 31, &buf), EINVAL,
		    "an unknown flag");
	check_error(gpumem_pin(rm.session, addr, MIB, 0, NULL), EINVAL,
		    "no place for the handle");
	check(!emu_counters().rm_maps, "a mapping is left after errors");

	check_result(-gpumem_pin(rm.session, addr, 2 * MIB, 0, &buf), 0,
		     "gpumem_pin: %s", gpumem_last_error());
	check_error(gpumem_unmap(buf), EINVAL, "unmapping what is not mapped");
	check_error(gpumem_read(buf, MIB, &host, 2 * MIB), ERANGE,
		    "reading past the end");
	check_result(-gpumem_unpin(buf), 0, "gpumem_unpin: %s",
		     gpumem_last_error());
	check_error(gpumem_unpin(buf), EBADF, "the second gpumem_unpin");
	rm.free(addr);
	rm_close();
	need(write(s.done[1], "", 1) == 1, "write: %s", strerror(errno));
	t_join("the other process", pid);
}

/* The memory is freed while it is mapped: it stays, for us, until unpin. */
static void mode_freed(void)
{
	struct gpumem_buf *buf;
	uint32_t value = 0;
	uint64_t addr;
	void *cpu;

	rm_open();
	addr = rm_alloc(2 * MIB);
	need(!gpumem_pin(rm.session, addr, 2 * MIB, 0, &buf) &&
		     !gpumem_map(buf, &cpu),
	     "pinning: %s", gpumem_last_error());
	counter_fill(cpu, 2 * MIB / 4, 0x0A000000);
	check_result(rm.free(addr), 0, "cuMemFree");
	check(!t_load((char *)cpu + MIB, &value) &&
		      value == 0x0A000000 + MIB / 4,
	      "after cuMemFree: %#x", value);
	check_result(-gpumem_unpin(buf), 0, "gpumem_unpin: %s",
		     gpumem_last_error());
	rm_close();
}

/* kill -9 at random moments. */
static void mode_kill(void)
{
	uint64_t state = t_now_ms();
	int i, status, used = 0;

	printf("seed %llu\n", (unsigned long long)state);
	for (i = 0; i < 20; i++) {
		int tell[2];
		char byte;
		pid_t pid;

		need(!pipe(tell), "pipe: %s", strerror(errno));
		fflush(stdout);
		pid = fork();
		need(pid >= 0, "fork: %s", strerror(errno));
		if (!pid) {
			rm_open();
			for (;;) {
				struct gpumem_buf *buf;
				uint64_t addr = rm_alloc(2 * MIB);
				void *cpu;

				if (gpumem_pin(rm.session, addr, MIB, 0,
					       &buf) ||
				    gpumem_map(buf, &cpu))
					_exit(1);
				memset(cpu, 0x5a, MIB);
				if (write(tell[1], "", 1) != 1)
					_exit(1);
				rm.free(addr);
				gpumem_unpin(buf);
			}
		}
		close(tell[1]);
		/* Half of them have surely come as far as to map. */
		if (i % 2 && read(tell[0], &byte, 1) == 1)
			used++;
		t_sleep_us(t_random(&state) % 100000);
		kill(pid, SIGKILL);
		need(waitpid(pid, &status, 0) == pid, "waitpid");
		check(WIFSIGNALED(status), "victim %d ended by itself: %#x", i,
		      (unsigned int)status);
		close(tell[0]);
	}
	check(used == 10, "%d of 10 victims mapped memory", used);
}

static void set_lost(const char *value)
{
	int fd = open("/sys/module/gpumem_emu/parameters/rm_lost",
		      O_WRONLY | O_CLOEXEC);

	need(fd >= 0 && write(fd, value, 1) == 1, "rm_lost: %s",
	     strerror(errno));
	close(fd);
}

/* The driver has lost the GPU, or is resetting it, under a session. */
static void mode_lost(void)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "rm" };
	struct gpumem_buf *buf, *other;
	struct gpumem *session;
	uint64_t first, second;

	rm_open();
	first = rm_alloc(2 * MIB);
	second = rm_alloc(2 * MIB);
	check_result(-gpumem_pin(rm.session, first, MIB, 0, &buf), 0,
		     "gpumem_pin: %s", gpumem_last_error());
	set_lost("1");
	check_error(gpumem_pin(rm.session, second, MIB, 0, &other), ENODEV,
		    "a pin without the GPU");
	check(strstr(gpumem_last_error(), "GPU is lost"), "the reason is: %s",
	      gpumem_last_error());
	check_error(gpumem_open(&options, &session), ENODEV,
		    "a session without the GPU");
	check_result(-gpumem_unpin(buf), 0, "gpumem_unpin: %s",
		     gpumem_last_error());
	set_lost("0");
	check_result(-gpumem_pin(rm.session, second, MIB, 0, &other), 0,
		     "gpumem_pin, the GPU is back: %s", gpumem_last_error());
	set_lost("1");
	/* With a buffer, and all that the cache holds. */
	rm.free(first);
	rm.free(second);
	rm_close();
	set_lost("0");
	check(!emu_counters().rm_maps && !emu_counters().rm_objects,
	      "%llu mappings and %llu objects are left",
	      (unsigned long long)emu_counters().rm_maps,
	      (unsigned long long)emu_counters().rm_objects);
}

static const struct t_mode modes[] = {
	{ "data", mode_data },	   { "many", mode_many },
	{ "errors", mode_errors }, { "lost", mode_lost },
	{ "freed", mode_freed },   { "kill", mode_kill },
};

static bool nothing_left(void *counters)
{
	struct gpumem_emu_counters *c = counters;

	*c = emu_counters();
	return !c->rm_clients && !c->rm_objects && !c->rm_maps && !c->blocks;
}

int main(int argc, char **argv)
{
	struct gpumem_emu_counters c;
	int r = t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
	bool ok;

	if (r)
		return r;
	ok = t_wait(nothing_left, &c);
	check(ok, "left over: %llu clients, %llu objects, %llu mappings",
	      (unsigned long long)c.rm_clients,
	      (unsigned long long)c.rm_objects, (unsigned long long)c.rm_maps);
	return t_end();
}
