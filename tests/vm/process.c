// SPDX-License-Identifier: MIT
/* One open file belongs to one process: forks, passed files, neighbours. */
#include "t.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>

struct mine {
	int emu, fd;
	uint64_t addr;
	struct gpumem_pin pin;
	void *handle;
	uint64_t phys;
	void *at;
};

static struct mine mine_make(void)
{
	struct mine m = { .emu = emu_open(), .fd = gm_open() };
	struct gpudma_state_t *state;
	int r;

	m.addr = emu_alloc(m.emu, MIB);
	m.pin = gm_must_pin(m.fd, m.addr, MIB);
	r = gm_map(m.fd, &m.pin, &m.at);
	need(!r, "mmap: %s", strerror(r));
	counter_fill(m.at, 16, 0x0A000000);
	r = seed_lock(m.fd, m.addr, MIB, &m.handle, NULL);
	need(!r, "LOCK: %s", strerror(r));
	r = seed_state(m.fd, m.handle, 16, &state);
	need(!r, "STATE: %s", strerror(r));
	m.phys = state->pages[0];
	free(state);
	return m;
}

static void mine_drop(struct mine *m)
{
	uint32_t value = 0;

	check(!t_load((char *)m->at + 4, &value) && value == 0x0A000001,
	      "the owner's mapping afterwards: word 1 is %#x", value);
	check_result(seed_unlock(m->fd, m->handle), 0, "the owner's UNLOCK");
	check_result(gm_unpin(m->fd, m->pin.pin), 0, "the owner's UNPIN");
	munmap(m->at, MIB);
	close(m->fd);
	close(m->emu);
}

/* What a process that does not own the file may do with it: ask the version. */
static void check_refused(const struct mine *m, int fd, const char *who)
{
	struct gpumem_version v = { .size = sizeof(v) };
	int emu = emu_open();
	uint64_t own = emu_alloc(emu, MIB), n = 1, page;
	struct gpumem_info info;
	struct gpumem_pin pin;
	void *handle;

	check_result(t_ioctl(fd, GPUMEM_IOC_VERSION, &v), 0, "%s: VERSION",
		     who);
	check_result(gm_pin(fd, own, MIB, &pin), EPERM, "%s: PIN", who);
	check_result(gm_info(fd, m->pin.pin, &info), EPERM, "%s: INFO", who);
	check_result(gm_pages(fd, m->pin.pin, 0, &page, &n), EPERM, "%s: PAGES",
		     who);
	check_result(gm_unpin(fd, m->pin.pin), EPERM, "%s: UNPIN", who);
	check_result(gm_unpin(fd, 12345), EPERM, "%s: UNPIN of no pin", who);
	check_result(seed_lock(fd, own, MIB, &handle, NULL), EPERM, "%s: LOCK",
		     who);
	check_result(seed_state(fd, m->handle, 16, NULL), EPERM, "%s: STATE",
		     who);
	check_result(seed_unlock(fd, m->handle), EPERM, "%s: UNLOCK", who);
	check_result(t_map(fd, m->pin.mmap_offset, PAGE, NULL), EPERM,
		     "%s: mmap", who);
	check_result(t_map(fd, m->phys, PAGE, NULL), EPERM,
		     "%s: mmap by physical address", who);
	close(emu);
}

static void fork_child(void *arg)
{
	struct mine *m = arg;

	check_refused(m, m->fd, "a forked child");
	check(t_load(m->at, NULL) == SIGSEGV,
	      "the child inherited the mapping: no SIGSEGV");
}

static void mode_fork(void)
{
	struct mine m = mine_make();

	t_child("the forked child", fork_child, &m);
	mine_drop(&m);
}

static void passed_child(void *arg)
{
	int sock = *(int *)arg, fd = t_fd_receive(sock);
	struct mine m;

	need(read(sock, &m, sizeof(m)) == sizeof(m), "reading what to try");
	check_refused(&m, fd, "a process that was sent the descriptor");
	close(fd);
}

static void mode_passed(void)
{
	struct mine m;
	int sock[2];
	pid_t pid;

	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, sock), "socketpair: %s",
	     strerror(errno));
	/* The receiver comes first: it inherits nothing. */
	pid = t_fork(passed_child, &sock[1]);
	close(sock[1]);
	m = mine_make();
	check_result(t_fd_send(sock[0], m.fd), 0, "sending the descriptor");
	need(write(sock[0], &m, sizeof(m)) == sizeof(m), "telling what to try");
	t_join("the receiver", pid);
	mine_drop(&m);
}

static void claim_child(void *arg)
{
	int fd = *(int *)arg, emu = emu_open();
	struct gpumem_pin pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	void *at;
	int r = gm_map(fd, &pin, &at);

	need(!r, "mmap: %s", strerror(r));
	counter_fill(at, 16, 0);
	munmap(at, MIB);
	check_result(gm_unpin(fd, pin.pin), 0, "the child's UNPIN");
}

static void claim_fails(void *arg)
{
	int fd = *(int *)arg, emu = emu_open();
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpumem_pin pin;
	void *handle;

	check_result(gm_pin(fd, NOWHERE, MIB, &pin), EINVAL,
		     "PIN of no GPU memory");
	check_result(gm_pin(fd, addr, 0, &pin), EINVAL, "PIN of 0 bytes");
	check_result(t_ioctl(fd, GPUMEM_IOC_PIN, NULL), EFAULT,
		     "PIN without a structure");
	check_result(seed_lock(fd, NOWHERE, MIB, &handle, NULL), EINVAL,
		     "LOCK of no GPU memory");
}

/* Who fails to pin does not own the file. */
static void mode_claim_failed(void)
{
	int fd = gm_open(), emu = emu_open();
	struct gpumem_pin pin;

	t_child("the child that fails to pin", claim_fails, &fd);
	check_result(gm_pin(fd, emu_alloc(emu, MIB), MIB, &pin), 0,
		     "PIN through a file that a child tried");
	close(fd);
	fd = gm_open();
	claim_fails(&fd);
	t_child("the child after who failed", claim_child, &fd);
	close(fd);
	close(emu);
}

#define RACERS 4
#define RACES 100

struct race {
	atomic_int go; /* races that may be run */
	atomic_int racers, done, won, refused;
	int fd[RACES];
};

/* Every other one tries what cannot be pinned first. */
static void race_run(void *arg)
{
	struct race *race = arg;
	bool fails = atomic_fetch_add(&race->racers, 1) % 2;
	int emu = emu_open(), i, r;
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpumem_pin pin;

	for (i = 0; i < RACES; i++) {
		while (atomic_load(&race->go) <= i)
			sched_yield();
		if (fails) {
			r = gm_pin(race->fd[i], NOWHERE, MIB, &pin);
			check(r == EINVAL || r == EPERM,
			      "PIN of no GPU memory: %s", strerror(r));
		}
		r = gm_pin(race->fd[i], addr, MIB, &pin);
		check(!r || r == EPERM, "PIN in a race: %s", strerror(r));
		if (!r)
			check_result(gm_unpin(race->fd[i], pin.pin), 0,
				     "UNPIN by the winner");
		atomic_fetch_add(r ? &race->refused : &race->won, 1);
		atomic_fetch_add(&race->done, 1);
	}
}

static bool race_done(void *arg)
{
	struct race *race = arg;

	return atomic_load(&race->done) == atomic_load(&race->go) * RACERS;
}

/* Of several processes that pin first at once just one gets the file. */
static void mode_claim_race(void)
{
	struct race *race = t_shared(sizeof(*race));
	pid_t pid[RACERS];
	int i;

	for (i = 0; i < RACES; i++)
		race->fd[i] = gm_open();
	for (i = 0; i < RACERS; i++)
		pid[i] = t_fork(race_run, race);
	for (i = 0; i < RACES; i++) {
		atomic_store(&race->go, i + 1);
		need(t_wait(race_done, race), "race %d does not end", i);
		check(atomic_load(&race->won) == i + 1 &&
			      atomic_load(&race->refused) ==
				      (i + 1) * (RACERS - 1),
		      "after race %d: %d winners and %d refused", i,
		      atomic_load(&race->won), atomic_load(&race->refused));
	}
	for (i = 0; i < RACERS; i++)
		t_join("a racer", pid[i]);
	for (i = 0; i < RACES; i++)
		close(race->fd[i]);
	munmap(race, sizeof(*race));
}

/* The first to pin owns the file, and keeps it. */
static void mode_claim(void)
{
	int fd = gm_open(), emu = emu_open();
	struct gpumem_pin pin;

	t_child("the child that pins first", claim_child, &fd);
	check_result(gm_pin(fd, emu_alloc(emu, MIB), MIB, &pin), EPERM,
		     "PIN through a file that a child owned");
	close(fd);
	close(emu);
}

static void outlive_grandchild(int pipe_read)
{
	char byte;

	/* Ends when the test says so: all inherited files are held open. */
	if (read(pipe_read, &byte, 1) < 0)
		_exit(1);
	_exit(0);
}

static void outlive_owner(void *arg)
{
	int *hold = arg;
	struct mine m = mine_make();
	pid_t pid = fork();

	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		close(hold[1]);
		outlive_grandchild(hold[0]);
	}
	(void)m;
	_exit(0);
}

/* The owner dies while a child of it still holds its files. */
static void mode_outlive(void)
{
	int hold[2], status;
	pid_t pid;

	need(!pipe(hold), "pipe: %s", strerror(errno));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	t_child("the owner", outlive_owner, hold);
	close(hold[0]);
	close(hold[1]);
	pid = wait(&status);
	check(pid > 0 && !status, "the child that held the files: status %#x",
	      (unsigned int)status);
	emu_check_nothing_pinned("after the child that outlived the owner");
	check(!emu_counters().blocks, "%llu blocks are left",
	      (unsigned long long)emu_counters().blocks);
}

static void only_gpumem_owner(void *arg)
{
	int *hold = arg;
	struct mine m = mine_make();
	pid_t pid = fork();

	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		close(hold[1]);
		close(m.emu);
		outlive_grandchild(hold[0]);
	}
	_exit(0);
}

/* The same, but CUDA's side is gone with the owner: revoked, then closed. */
static void mode_outlive_revoked(void)
{
	int hold[2], status;

	need(!pipe(hold), "pipe: %s", strerror(errno));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	t_child("the owner", only_gpumem_owner, hold);
	emu_check_nothing_pinned("after the owner, its child alive");
	close(hold[0]);
	close(hold[1]);
	check(wait(&status) > 0 && !status, "the child: status %#x",
	      (unsigned int)status);
}

struct pair {
	unsigned int number;
	int to_other, from_other, others[2];
};

#define PAIR_BYTES (4 * MIB)

static void pair_run(void *arg)
{
	struct pair *p = arg;
	uint32_t first = 0x10000000u * (p->number + 1), round;
	uint32_t *host = malloc(PAIR_BYTES);
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, PAIR_BYTES), told[3], page, n = 1;
	struct gpumem_pin pin = gm_must_pin(fd, addr, PAIR_BYTES), theirs;
	struct gpumem_info info;
	char byte;
	void *at;
	int r = gm_map(fd, &pin, &at);

	/* So that the end of the other process is noticed. */
	close(p->others[0]);
	close(p->others[1]);
	need(!r && host, "mmap: %s", strerror(r));
	check_result(gm_pages(fd, pin.pin, 0, &page, &n), 0, "PAGES");
	told[0] = pin.mmap_offset;
	told[1] = page;
	told[2] = addr;
	need(write(p->to_other, told, sizeof(told)) == sizeof(told) &&
		     read(p->from_other, told, sizeof(told)) == sizeof(told),
	     "talking to the other process");
	check_result(t_map(fd, told[0], PAGE, NULL), EPERM,
		     "mmap of the other process's pin");
	check_result(t_map(fd, told[1], PAGE, NULL), EPERM,
		     "mmap of the other process's page");
	check_result(gm_pin(fd, told[2], MIB, &theirs), EINVAL,
		     "PIN of the other process's memory");
	check_result(gm_info(fd, pin.pin + 1, &info), ENOENT,
		     "INFO of the next id");
	for (round = 0; round < 8; round++) {
		counter_fill(at, PAIR_BYTES / 4, first + round);
		check_result(emu_read(emu, addr, host, PAIR_BYTES), 0,
			     "reading by CUDA");
		if (!counter_check(host, PAIR_BYTES / 4, first + round,
				   "one's own data"))
			break;
	}
	/* Stay until the other one is done as well. */
	need(write(p->to_other, "", 1) == 1 &&
		     read(p->from_other, &byte, 1) == 1,
	     "talking to the other process");
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
}

static void mode_two(void)
{
	int ab[2], ba[2];
	struct pair a, b;
	pid_t first, second;

	need(!pipe(ab) && !pipe(ba), "pipe: %s", strerror(errno));
	a = (struct pair){ 0, ab[1], ba[0], { ab[0], ba[1] } };
	b = (struct pair){ 1, ba[1], ab[0], { ba[0], ab[1] } };
	first = t_fork(pair_run, &a);
	second = t_fork(pair_run, &b);
	close(ab[1]);
	close(ba[1]);
	t_join("the first process", first);
	t_join("the second process", second);
}

#define STALL "/sys/module/gpumem_emu/parameters/stall"
#define STALLED "/sys/module/gpumem_emu/parameters/stalled"

/* One who pins when told to, and has a persistent pin or none. */
struct asker {
	uid_t uid;
	uint32_t flags;
	bool has;
	atomic_bool ready, go, asks;
};

static void asker_run(void *arg)
{
	struct asker *a = arg;
	int emu = emu_open(), fd = gm_open();
	struct gpumem_pin pin = { .size = sizeof(pin),
				  .flags = GPUMEM_PIN_PERSISTENT,
				  .addr = emu_alloc(emu, MIB),
				  .length = MIB };

	need(!setresuid(a->uid, a->uid, a->uid), "becoming user %u", a->uid);
	/* It must not outlive the case; setresuid() has forgotten an earlier wish. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (a->has)
		need(!t_ioctl(fd, GPUMEM_IOC_PIN, &pin), "PIN");
	atomic_store(&a->ready, true);
	while (!atomic_load(&a->go))
		t_sleep_us(1000);
	pin.flags = a->flags;
	atomic_store(&a->asks, true);
	check_result(t_ioctl(fd, GPUMEM_IOC_PIN, &pin), 0, "PIN");
}

static bool asker_ready(void *asker)
{
	return atomic_load(&((struct asker *)asker)->ready);
}

static bool asker_asks(void *asker)
{
	return atomic_load(&((struct asker *)asker)->asks);
}

static bool driver_sits(void *arg)
{
	int fd = open(STALLED, O_RDONLY | O_CLOEXEC);
	char text[16] = "";

	(void)arg;
	need(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0,
	     "reading " STALLED);
	close(fd);
	return atoi(text) == 1;
}

/*
 * One process sits in the driver. Those who wait for it, of its own user or another,
 * die when they are killed.
 */
static void mode_waiting(void)
{
	static const struct asker kinds[] = {
		{ .uid = 0 }, /* who sits */
		{ .uid = 0 },
		{ .uid = 0, .flags = GPUMEM_PIN_PERSISTENT },
		{ .uid = 1000 },
		{ .uid = 1000, .flags = GPUMEM_PIN_PERSISTENT },
		{ .uid = 1000, .has = true },
	};
	const size_t count = sizeof(kinds) / sizeof(kinds[0]);
	struct asker *askers = t_shared(sizeof(kinds));
	pid_t pid[sizeof(kinds) / sizeof(kinds[0])];
	bool dies = true;
	size_t i;

	memcpy(askers, kinds, sizeof(kinds));
	for (i = 0; i < count; i++) {
		pid[i] = t_fork(asker_run, &askers[i]);
		need(t_wait(asker_ready, &askers[i]), "a process is not ready");
	}
	t_file_write(STALL, "1");
	atomic_store(&askers[0].go, true);
	need(t_wait(driver_sits, NULL), "nobody sits in the driver");
	for (i = 1; dies && i < count; i++) {
		atomic_store(&askers[i].go, true);
		need(t_wait(asker_asks, &askers[i]) && t_wait_asleep(pid[i]),
		     "process %zu does not wait", i);
		dies = check(
			t_kill(pid[i]),
			"process %zu does not die while another sits in the driver",
			i);
	}
	check(driver_sits(NULL), "nobody sits in the driver any more");
	t_file_write(STALL, "0");
	t_join("who sat in the driver", pid[0]);
	/* Those that are left, if one did not die. */
	for (; !dies && i < count; i++)
		kill(pid[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	munmap(askers, sizeof(kinds));
	emu_check_nothing_pinned("in the end");
}

static const struct t_mode modes[] = {
	{ "fork", mode_fork },
	{ "passed", mode_passed },
	{ "claim", mode_claim },
	{ "claim-failed", mode_claim_failed },
	{ "claim-race", mode_claim_race },
	{ "outlive", mode_outlive },
	{ "outlive-revoked", mode_outlive_revoked },
	{ "two", mode_two },
	{ "waiting", mode_waiting },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
