// SPDX-License-Identifier: MIT
/* Waits, races and storms that last as long as the machine needs. */
#include "t.h"

#include <sys/prctl.h>

/* Until the first look at how the victims fare, in microseconds. */
#define STORM_LIFE 30000
#define STORM_LIFE_MIN 1000
/* Victims between two looks, and how many of them shall have done a round. */
#define STORM_LOOK 10
#define STORM_FEW 3
#define STORM_MANY 7

/* Victims that did a round. */
static atomic_uint *t_storm_alive;

bool t_wait(bool (*ready)(void *arg), void *arg)
{
	uint64_t end = t_now_ms() + T_WAIT_MS;

	while (!ready(arg)) {
		if (t_now_ms() > end)
			return false;
		t_sleep_us(1000);
	}
	return true;
}

static bool is_asleep(void *pid)
{
	char path[32], text[256] = "";
	const char *state;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", *(pid_t *)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	need(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, "reading %s: %s",
	     path, strerror(errno));
	close(fd);
	/* After the name, which may have anything in it. */
	state = strrchr(text, ')');
	return state && !strncmp(state, ") D", 3);
}

bool t_wait_asleep(pid_t pid)
{
	return t_wait(is_asleep, &pid);
}

static bool is_gone(void *pid)
{
	return waitpid(*(pid_t *)pid, NULL, WNOHANG) == *(pid_t *)pid;
}

bool t_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	return t_wait(is_gone, &pid);
}

void *t_shared(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	need(at != MAP_FAILED, "mmap: %s", strerror(errno));
	return at;
}

bool t_missing(const struct t_kind *kinds, size_t count)
{
	static bool told;
	bool missing = false;
	size_t i;

	for (i = 0; i < count; i++) {
		unsigned int n = atomic_load(kinds[i].count);

		if (n >= kinds[i].least)
			continue;
		missing = true;
		if (!told)
			printf("goes on: %u of %u %s so far\n", n,
			       kinds[i].least, kinds[i].name);
	}
	told |= missing;
	fflush(stdout);
	return missing;
}

void t_race(uint64_t ms, const struct t_kind *kinds, size_t count)
{
	uint64_t end = t_now_ms() + ms;

	while (t_now_ms() < end || t_missing(kinds, count))
		t_sleep_us(10000);
}

void t_storm_round(void)
{
	static bool counted;

	if (!counted)
		atomic_fetch_add(t_storm_alive, 1);
	counted = true;
}

static void storm_kill(const struct t_storm *storm, unsigned long i,
		       unsigned int us)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		/* It must not outlive a case that is ended. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		storm->victim(storm->seed + i);
	}
	/* Both sides: the child may not have run yet. */
	setpgid(pid, pid);
	t_sleep_us(us);
	kill(-pid, SIGKILL);
	need(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	need(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	     "victim %lu ended by itself: status %#x", i, (unsigned int)status);
	/* Its children. */
	while (waitpid(-1, NULL, 0) > 0)
		;
}

void t_storm(const struct t_storm *storm)
{
	unsigned int life = STORM_LIFE, alive = 0;
	uint64_t random = storm->seed;
	unsigned long i;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	t_storm_alive = t_shared(sizeof(*t_storm_alive));
	for (i = 0; i < storm->kills || t_missing(storm->kinds, storm->count);
	     i++) {
		storm_kill(storm, i, t_random(&random) % life);
		if (i % STORM_LOOK != STORM_LOOK - 1)
			continue;
		/* Now and then, so that the culprit is found near its end. */
		if (!emu_check_nothing_pinned("in the storm"))
			exit(t_end());
		alive = atomic_exchange(t_storm_alive, 0);
		if (alive < STORM_FEW)
			life *= 2;
		else if (alive > STORM_MANY && life > STORM_LIFE_MIN)
			life /= 2;
	}
	emu_check_nothing_pinned("after the storm");
	printf("%lu kills; in the end a victim lived up to %u us\n", i, life);
}
