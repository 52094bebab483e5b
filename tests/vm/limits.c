// SPDX-License-Identifier: MIT
/* What the driver refuses, or runs out of, and what becomes of it. */
#include "t.h"

#define PARAMETERS "/sys/module/gpumem_emu/parameters/"

/* Sets a parameter of the emulated GPU; the old value goes to old. */
static void parameter_set(const char *name, const char *value, char *old,
			  size_t room)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	need(fd >= 0, "open %s: %s", path, strerror(errno));
	if (old) {
		n = read(fd, old, room - 1);
		need(n > 0, "reading %s: %s", path, strerror(errno));
		old[n] = 0;
		old[strcspn(old, "\n")] = 0;
	}
	n = pwrite(fd, value, strlen(value), 0);
	need(n == (ssize_t)strlen(value), "writing %s: %s", path,
	     strerror(errno));
	close(fd);
}

static void mode_get_pages(void)
{
	static const struct {
		const char *value;
		int want;
	} cases[] = {
		{ "12", ENOMEM }, { "22", EINVAL },	 { "95", EOPNOTSUPP },
		{ "16", EBUSY },  { "524", EOPNOTSUPP }, { "19", ENODEV },
		{ "5", EIO },
	};
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpumem_pin pin;
	void *handle;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		parameter_set("fail_get_pages", cases[i].value, NULL, 0);
		check_result(gm_pin(fd, addr, MIB, &pin), cases[i].want,
			     "PIN where get_pages returns -%s", cases[i].value);
		check_result(seed_lock(fd, addr, MIB, &handle, NULL),
			     cases[i].want, "LOCK where get_pages returns -%s",
			     cases[i].value);
		check(!pin.pin && !handle, "a handle without a pin");
		emu_check_nothing_pinned("after get_pages failed");
		parameter_set("fail_get_pages", "0", NULL, 0);
		check_result(gm_pin(fd, addr, MIB, &pin), 0,
			     "PIN after get_pages failed with %s",
			     cases[i].value);
		check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	}
	/* Nothing but failures: the file was never anybody's to keep. */
	close(fd);
	close(emu);
}

static void mode_version(void)
{
	static const char *const wrong[] = { "0x00030002", "0x00000002", "0",
					     "0xffffffff" };
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpumem_pin pin;
	char real[32], newer[32];
	unsigned long version;
	void *handle;
	size_t i;

	parameter_set("p2p_version", wrong[0], real, sizeof(real));
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		parameter_set("p2p_version", wrong[i], NULL, 0);
		check_result(gm_pin(fd, addr, MIB, &pin), EPROTO,
			     "PIN with page tables of version %s", wrong[i]);
		check_result(seed_lock(fd, addr, MIB, &handle, NULL), EPROTO,
			     "LOCK with page tables of version %s", wrong[i]);
		emu_check_nothing_pinned("after a wrong version");
	}
	/* A newer minor of the same major is compatible. */
	version = strtoul(real, NULL, 0);
	snprintf(newer, sizeof(newer), "%lu", version + 1);
	parameter_set("p2p_version", newer, NULL, 0);
	check_result(gm_pin(fd, addr, MIB, &pin), 0,
		     "PIN with page tables of version %#lx", version + 1);
	parameter_set("p2p_version", real, NULL, 0);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	check_result(gm_pin(fd, addr, MIB, &pin), 0,
		     "PIN with the version that was built for");
	close(fd);
	close(emu);
}

/* BAR1 is smaller than what shall be pinned. */
static void mode_bar1(void)
{
	int emu = emu_open(), fd = gm_open(), i;
	uint64_t addr = emu_alloc(emu, 16 * MIB);
	struct gpumem_pin pins[4], more;
	char old[32];

	parameter_set("bar1_size", "8388608", old, sizeof(old));
	check_result(gm_pin(fd, addr, 16 * MIB, &more), ENOMEM,
		     "PIN of twice the BAR1 space");
	emu_check_nothing_pinned("after BAR1 space was refused");
	for (i = 0; i < 4; i++)
		pins[i] = gm_must_pin(fd, addr, 2 * MIB);
	check_result(gm_pin(fd, addr, 2 * MIB, &more), ENOMEM,
		     "PIN where BAR1 space is full");
	check(emu_counters().pins == 4, "%llu pins instead of 4",
	      (unsigned long long)emu_counters().pins);
	check_result(gm_unpin(fd, pins[2].pin), 0, "UNPIN");
	check_result(gm_pin(fd, addr + MIB, 2 * MIB, &more), 0,
		     "PIN where BAR1 space was given back");
	close(fd);
	emu_check_nothing_pinned("after close");
	parameter_set("bar1_size", old, NULL, 0);
	close(emu);
}

/* Video memory runs out, all of it pinned; close gives it all back. */
static void mode_memory(void)
{
	uint64_t step = 64 * MIB, addr, count = 0, first = 0;
	int emu = emu_open(), fd = gm_open(), r;
	struct gpumem_emu_counters c;

	for (;;) {
		r = emu_try_alloc(emu, step, &addr);
		if (r && step == 2 * MIB)
			break;
		if (r) {
			step = 2 * MIB;
			continue;
		}
		first = first ? first : addr;
		gm_must_pin(fd, addr, step);
		count++;
	}
	check_result(r, ENOMEM, "allocating from full video memory");
	c = emu_counters();
	check(c.pins == count, "%llu pins, %llu made",
	      (unsigned long long)c.pins, (unsigned long long)count);
	check(c.free_pages < 32, "%llu pages are free",
	      (unsigned long long)c.free_pages);
	check_result(emu_free(emu, first), 0, "freeing a pinned block");
	check_result(emu_try_alloc(emu, 2 * MIB, &addr), 0,
		     "allocating what was freed while pinned");
	close(fd);
	emu_check_nothing_pinned("after close");
	close(emu);
}

#define ASKERS 64
#define BYSTANDER_MIB 200

/* Asks for all that there can be, where nothing is, with and without a callback. */
static void nothing_run(void *length)
{
	struct gpumem_pin pin;
	int fd = gm_open(), i;

	for (i = 0; i < 4; i++) {
		check_result(gm_pin(fd, NOWHERE, *(uint64_t *)length, &pin),
			     EINVAL, "PIN of nothing");
		pin = (struct gpumem_pin){ .size = sizeof(pin),
					   .flags = GPUMEM_PIN_PERSISTENT,
					   .addr = NOWHERE,
					   .length = *(uint64_t *)length };
		check_result(t_ioctl(fd, GPUMEM_IOC_PIN, &pin), EINVAL,
			     "a persistent PIN of nothing");
	}
	close(fd);
}

/* Has memory, and is the first that the kernel would kill for want of some. */
static pid_t bystander_start(int ready[2])
{
	pid_t pid = fork();
	char byte;

	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
		char *all = malloc(BYSTANDER_MIB * MIB);

		if (fd < 0 || write(fd, "1000", 4) != 4 || !all)
			_exit(1);
		memset(all, 1, BYSTANDER_MIB * MIB);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	need(read(ready[0], &byte, 1) == 1, "the bystander did not start");
	return pid;
}

/* PIN of what no GPU has costs no memory, however many ask. */
static void mode_nothing(void)
{
	uint64_t lengths[] = { 1ull << 42, (1ull << 42) - GPU_PAGE, 1ull << 38,
			       emu_counters().vram_bytes };
	pid_t bystander, askers[ASKERS];
	int ready[2], status = 0, i;

	need(!pipe(ready), "pipe: %s", strerror(errno));
	bystander = bystander_start(ready);
	nothing_run(&lengths[0]);
	for (i = 0; i < ASKERS; i++)
		askers[i] = t_fork(nothing_run, &lengths[i % 4]);
	for (i = 0; i < ASKERS; i++)
		t_join("one who asks", askers[i]);
	check(!waitpid(bystander, &status, WNOHANG),
	      "the bystander is gone: %#x", (unsigned int)status);
	kill(bystander, SIGKILL);
	waitpid(bystander, NULL, 0);
}

static const struct t_mode modes[] = {
	{ "get-pages", mode_get_pages }, { "version", mode_version },
	{ "bar1", mode_bar1 },		 { "memory", mode_memory },
	{ "nothing", mode_nothing },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
