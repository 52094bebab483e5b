// SPDX-License-Identifier: MIT
/* The module parameters user_limit and user_pins; as root, who starts the users. */
#include "t_dmabuf.h"

#include <grp.h>
#include <sys/prctl.h>

#define LIMIT "/sys/module/gpumem/parameters/user_limit"
#define PINS "/sys/module/gpumem/parameters/user_pins"
#define UNREGISTERED "/sys/module/gpumem_emu/parameters/unregistered"
#define ALICE 1000
#define BOB 1001

static void parameter_set(const char *path, const char *value)
{
	int fd = t_open(path);

	need(write(fd, value, strlen(value)) == (ssize_t)strlen(value),
	     "writing %s", path);
	close(fd);
}

static void limit_set(const char *mib)
{
	parameter_set(LIMIT, mib);
}

static void become(uid_t uid)
{
	need(!setgroups(0, NULL) && !setresgid(uid, uid, uid) &&
		     !setresuid(uid, uid, uid),
	     "becoming user %u: %s", uid, strerror(errno));
	/* So that the parent may still wait for a signal's effect. */
	prctl(PR_SET_DUMPABLE, 1);
}

/* Pins 4 MiB in four pieces, which is all that one user may. */
static void fill(int emu, int fd, struct gpumem_pin pins[4])
{
	uint64_t addr = emu_alloc(emu, 4 * MIB);
	int i;

	for (i = 0; i < 4; i++)
		pins[i] = gm_must_pin(fd, addr + (uint64_t)i * MIB, MIB);
}

static void alone_run(void *arg)
{
	int emu = emu_open(), fd = gm_open(), other = gm_open(), dmabuf;
	uint64_t addr = emu_alloc(emu, 8 * MIB);
	struct gpumem_pin pins[4], more;
	void *at, *handle;

	(void)arg;
	become(ALICE);
	check_result(gm_pin(fd, addr, 4 * MIB + 1, &more), EDQUOT,
		     "PIN of more than the limit");
	check_result(gm_pin(fd, addr + 1, 4 * MIB, &more), EDQUOT,
		     "PIN of more than the limit in whole pages");
	check_result(gm_pin(fd, addr, 1ull << 41, &more), EDQUOT,
		     "PIN of an absurd size");
	check_result(seed_lock(fd, addr, 5 * MIB, &handle, NULL), EDQUOT,
		     "LOCK of more than the limit");
	emu_check_nothing_pinned("after what was refused");
	check_result(gm_pin(fd, addr, 4 * MIB, &more), 0,
		     "PIN of just the limit");
	check_result(gm_unpin(fd, more.pin), 0, "UNPIN");

	fill(emu, fd, pins);
	check_result(gm_pin(other, addr, 1, &more), EDQUOT,
		     "PIN through another file of this user");
	check_result(gm_unpin(fd, pins[0].pin), 0, "UNPIN");
	check_result(gm_pin(other, addr, MIB + 1, &more), EDQUOT,
		     "PIN of more than UNPIN gave back");
	check_result(gm_pin(other, addr, MIB, &more), 0,
		     "PIN of what UNPIN gave back");
	close(other);
	check_result(gm_pin(fd, addr, MIB, &more), 0,
		     "PIN of what close gave back");
	/* What cannot be pinned costs nothing. */
	check_result(gm_unpin(fd, more.pin), 0, "UNPIN");
	check_result(gm_pin(fd, NOWHERE, MIB, &more), EINVAL,
		     "PIN of no GPU memory");
	check_result(gm_pin(fd, addr, MIB, &more), 0, "PIN after a failed one");
	/* A mapping that shows nothing any more costs nothing. */
	need(!gm_map(fd, &more, &at), "mmap");
	check_result(gm_unpin(fd, more.pin), 0, "UNPIN");
	check_result(gm_pin(fd, addr, MIB, &more), 0, "PIN while mapped");
	munmap(at, MIB);
	/* A dma-buf costs as much as its pin, and outlives it. */
	check_result(gm_export(fd, more.pin, O_RDWR, &dmabuf), EDQUOT,
		     "EXPORT at the limit");
	check_result(gm_unpin(fd, pins[1].pin), 0, "UNPIN");
	dmabuf = gm_must_export(fd, &more);
	check_result(gm_pin(fd, addr, MIB, &pins[1]), EDQUOT,
		     "PIN beside a dma-buf");
	check_result(gm_unpin(fd, more.pin), 0, "UNPIN");
	check_result(gm_pin(fd, addr, MIB, &more), 0, "PIN");
	check_result(gm_pin(fd, addr, MIB, &pins[1]), EDQUOT,
		     "PIN while a dma-buf holds the memory");
	close(dmabuf);
	check_result(gm_pin(fd, addr, MIB, &pins[1]), 0,
		     "PIN after the dma-buf was closed");
	/* Taken back by the driver, and unpinned. */
	check_result(emu_free(emu, addr), 0, "freeing");
	check_result(gm_unpin(fd, more.pin), 0, "UNPIN after revocation");
	addr = emu_alloc(emu, 2 * MIB);
	check_result(gm_pin(fd, addr, MIB, &more), 0,
		     "PIN after revocation and UNPIN");
	close(fd);
	close(emu);
}

struct pair {
	int ready[2], end[2];
	uid_t uid;
};

/* Fills the user's limit, says so, and waits. */
static void holder_run(void *arg)
{
	struct pair *p = arg;
	int emu = emu_open(), fd = gm_open();
	struct gpumem_pin pins[4];
	char byte;

	become(p->uid);
	fill(emu, fd, pins);
	need(write(p->ready[1], "", 1) == 1, "write");
	need(read(p->end[0], &byte, 1) == 1, "read");
}

static pid_t holder_start(struct pair *p, uid_t uid)
{
	char byte;
	pid_t pid;

	p->uid = uid;
	pid = t_fork(holder_run, p);
	need(read(p->ready[0], &byte, 1) == 1, "the holder did not start");
	return pid;
}

struct one {
	uid_t uid;
	int want;
};

static void one_run(void *arg)
{
	const struct one *one = arg;
	int emu = emu_open(), fd = gm_open();
	struct gpumem_pin pin;

	become(one->uid);
	check_result(gm_pin(fd, emu_alloc(emu, MIB), MIB, &pin), one->want,
		     "PIN as user %u", one->uid);
}

static void one_check(uid_t uid, int want, const char *when)
{
	struct one one = { .uid = uid, .want = want };

	t_child(when, one_run, &one);
}

static void mode_shared(void)
{
	struct pair p;
	pid_t pid;

	need(!pipe(p.ready) && !pipe(p.end), "pipe");
	limit_set("4");
	pid = holder_start(&p, ALICE);
	one_check(ALICE, EDQUOT, "another process of the same user");
	one_check(BOB, 0, "another user");
	one_check(0, 0, "root");
	/* The limit is what it is at the moment of pinning. */
	limit_set("5");
	one_check(ALICE, 0, "a raised limit");
	limit_set("2");
	one_check(ALICE, EDQUOT, "a limit below what is pinned");
	one_check(BOB, 0, "another user");
	limit_set("0");
	one_check(ALICE, 0, "no limit");
	limit_set("4");
	need(write(p.end[1], "", 1) == 1, "write");
	t_join("the holder", pid);
	one_check(ALICE, 0, "after the holder's exit");

	pid = holder_start(&p, ALICE);
	one_check(ALICE, EDQUOT, "a second holder");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	one_check(ALICE, 0, "after kill -9");
	limit_set("0");
}

static void stranger_run(void *arg)
{
	int *end = arg;
	char byte;

	/* The parent's file is closed here, last. */
	need(read(*end, &byte, 1) == 1, "read");
}

/* Closed elsewhere: the driver keeps the pages, so they stay charged. */
static void orphan_run(void *arg)
{
	int emu = emu_open(), fd = gm_open(), end[2];
	uint64_t addr = emu_alloc(emu, 4 * MIB);
	struct gpumem_pin pin;
	pid_t pid;

	(void)arg;
	become(ALICE);
	need(!pipe(end), "pipe");
	gm_must_pin(fd, addr, 4 * MIB);
	pid = t_fork(stranger_run, &end[0]);
	close(fd);
	need(write(end[1], "", 1) == 1, "write");
	t_join("the stranger", pid);
	check(emu_counters().pins == 1, "%llu pins after a stranger's close",
	      (unsigned long long)emu_counters().pins);
	fd = gm_open();
	check_result(gm_pin(fd, addr, MIB, &pin), EDQUOT,
		     "PIN while the driver keeps the pages");
	check_result(emu_free(emu, addr), 0, "freeing");
	addr = emu_alloc(emu, 4 * MIB);
	check_result(gm_pin(fd, addr, 4 * MIB, &pin), 0, "PIN after freeing");
}

static void mode_orphan(void)
{
	limit_set("4");
	t_child("a user", orphan_run, NULL);
	limit_set("0");
	emu_check_nothing_pinned("in the end");
}

/*
 * Unpinned where the driver finds nothing to give back: its pages stay charged until
 * they are freed, and no longer, whatever shows the pin still.
 */
static void forgotten_run(void *arg)
{
	int emu = emu_open(), fd = gm_open(), forget = t_open(UNREGISTERED);
	uint64_t addr = emu_alloc(emu, 4 * MIB), other = emu_alloc(emu, MIB);
	struct gpumem_pin pin, more;
	void *at;

	(void)arg;
	become(ALICE);
	pin = gm_must_pin(fd, addr, 4 * MIB);
	need(!gm_map(fd, &pin, &at), "mmap");
	need(pwrite(forget, "1", 1, 0) == 1, "writing " UNREGISTERED);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	need(pwrite(forget, "0", 1, 0) == 1, "writing " UNREGISTERED);
	check_result(gm_pin(fd, other, MIB, &more), EDQUOT,
		     "PIN while the driver keeps the pages");
	check_result(emu_free(emu, addr), 0, "freeing");
	check_result(gm_pin(fd, other, MIB, &more), 0,
		     "PIN after freeing, the old mapping there");
	munmap(at, 4 * MIB);
	check_result(gm_unpin(fd, more.pin), 0, "UNPIN");
	addr = emu_alloc(emu, 4 * MIB);
	check_result(gm_pin(fd, addr, 4 * MIB, &pin), 0,
		     "PIN of just the limit");
}

static void mode_forgotten(void)
{
	limit_set("4");
	t_child("a user", forgotten_run, NULL);
	limit_set("0");
	emu_check_nothing_pinned("in the end");
}

static void mode_alone(void)
{
	limit_set("4");
	t_child("a user", alone_run, NULL);
	limit_set("0");
	emu_check_nothing_pinned("in the end");
}

/* Four pins, however small; what else refers to a pin keeps it counted. */
static void pins_run(void *arg)
{
	int emu = emu_open(), fd = gm_open(), other = gm_open(), dmabuf;
	uint64_t addr = emu_alloc(emu, 2 * MIB);
	struct gpumem_pin pin[4], more;
	void *handle, *at;
	int i;

	(void)arg;
	become(ALICE);
	check_result(gm_pin(fd, NOWHERE, 1, &more), EINVAL, "a wrong PIN");
	for (i = 0; i < 4; i++) {
		check_result(gm_pin_flags(fd, addr, 1,
					  i % 2 ? GPUMEM_PIN_PERSISTENT : 0, 0,
					  &pin[i]),
			     0, "PIN %d", i);
	}
	check_result(gm_pin(fd, addr, 1, &more), EDQUOT, "the fifth PIN");
	check_result(gm_pin(other, addr, 1, &more), EDQUOT,
		     "PIN through another file");
	check_result(gm_pin_flags(fd, addr, 1, GPUMEM_PIN_PERSISTENT, 0, &more),
		     EDQUOT, "a persistent PIN");
	check_result(seed_lock(fd, addr, 1, &handle, NULL), EDQUOT, "LOCK");
	check(emu_counters().pins == 4, "%llu pins after refusals",
	      (unsigned long long)emu_counters().pins);

	need(!gm_map(fd, &pin[0], &at), "mmap");
	check_result(gm_unpin(fd, pin[0].pin), 0, "UNPIN");
	check_result(gm_pin(fd, addr, 1, &more), EDQUOT,
		     "PIN while the old one is mapped");
	munmap(at, gm_bytes(&pin[0]));
	check_result(gm_pin(fd, addr, 1, &pin[0]), 0, "PIN after munmap");

	dmabuf = gm_must_export(fd, &pin[1]);
	check_result(gm_unpin(fd, pin[1].pin), 0, "UNPIN");
	check_result(gm_pin(fd, addr, 1, &more), EDQUOT,
		     "PIN while the old one has a dma-buf");
	close(dmabuf);
	check_result(gm_pin(fd, addr, 1, &pin[1]), 0,
		     "PIN after the dma-buf was closed");

	check_result(emu_free(emu, addr), 0, "freeing");
	addr = emu_alloc(emu, MIB);
	check_result(gm_pin(fd, addr, 1, &more), EDQUOT,
		     "PIN beside revoked ones");
	check_result(gm_unpin(fd, pin[0].pin), 0, "UNPIN of a revoked one");
	check_result(gm_pin(fd, addr, 1, &more), 0, "PIN in its place");
	close(fd);
	check_result(gm_pin(other, addr, 1, &more), 0, "PIN after close");
	close(other);
	close(emu);
}

static void more_run(void *arg)
{
	int emu = emu_open(), fd = gm_open(), i;
	uint64_t addr = emu_alloc(emu, MIB);

	become(*(uid_t *)arg);
	for (i = 0; i < 20; i++)
		gm_must_pin(fd, addr, 1);
}

static void mode_pins(void)
{
	uid_t root = 0, bob = BOB;
	char value[16] = "";
	int fd = open(PINS, O_RDONLY | O_CLOEXEC);

	need(fd >= 0 && read(fd, value, sizeof(value) - 1) > 0,
	     "reading " PINS);
	close(fd);
	check(!strcmp(value, "65536\n"), "the default is %s", value);
	parameter_set(PINS, "4");
	t_child("a user", pins_run, NULL);
	t_child("root", more_run, &root);
	parameter_set(PINS, "20");
	t_child("a user with more", more_run, &bob);
	parameter_set(PINS, "0");
	t_child("a user without a limit", more_run, &bob);
	parameter_set(PINS, "65536");
	emu_check_nothing_pinned("in the end");
}

static const struct t_mode modes[] = {
	{ "alone", mode_alone },   { "shared", mode_shared },
	{ "orphan", mode_orphan }, { "forgotten", mode_forgotten },
	{ "pins", mode_pins },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
