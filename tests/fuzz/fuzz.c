// SPDX-License-Identifier: MIT
/*
 * usage: vm-fuzz [OPERATIONS [SEED]]
 *
 * The seed that it prints replays a run as far as the scheduler lets it.
 */
#include "fuzz.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* A worker is killed every so many operations of all, on average. */
#define FUZZ_KILL_OPS 400
/* Operations more if the run has not reached what it must. */
#define FUZZ_MORE 10000

struct fuzz_shared *fuzz_shared;

static pid_t fuzz_pids[FUZZ_WORKERS];
static uint32_t fuzz_lives;

/* Calls that must have succeeded for a run to be worth anything. */
static const enum fuzz_op fuzz_must[] = {
	FUZZ_PIN,	FUZZ_UNPIN,	FUZZ_INFO,    FUZZ_PAGES,
	FUZZ_LOCK,	FUZZ_UNLOCK,	FUZZ_STATE,   FUZZ_DMA_MAP,
	FUZZ_DMA_RUNS,	FUZZ_DMA_UNMAP, FUZZ_EXPORT,  FUZZ_MMAP,
	FUZZ_MMAP_PHYS, FUZZ_MMAP_BUF,	FUZZ_MUNMAP,  FUZZ_MREMAP,
	FUZZ_MPROTECT,	FUZZ_LOAD,	FUZZ_STORE,   FUZZ_PEEK,
	FUZZ_FORK,	FUZZ_SEND,	FUZZ_RECEIVE,
};

static void fuzz_peers_find(void)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	struct dirent *entry;
	char path[300];

	need(dir, "no PCI devices: %s", strerror(errno));
	while ((entry = readdir(dir)) && fuzz_shared->peers < FUZZ_PEERS) {
		unsigned int domain, bus, slot, function;
		uint32_t n = fuzz_shared->peers;

		if (sscanf(entry->d_name, "%x:%x:%x.%x", &domain, &bus, &slot,
			   &function) != 4 ||
		    domain)
			continue;
		fuzz_shared->peer[n] =
			(uint16_t)(bus << 8 | slot << 3 | function);
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config",
			 entry->d_name);
		fuzz_shared->peer_fd[n] = open(path, O_RDWR | O_CLOEXEC);
		fuzz_shared->peers++;
	}
	closedir(dir);
	need(fuzz_shared->peers, "no PCI device");
}

static void fuzz_setup(uint64_t limit)
{
	int i;

	fuzz_shared = mmap(NULL, sizeof(*fuzz_shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(fuzz_shared != MAP_FAILED, "mmap: %s", strerror(errno));
	atomic_store(&fuzz_shared->limit, limit);
	for (i = 0; i < FUZZ_WORKERS; i++)
		need(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0,
				 fuzz_shared->socks[i]),
		     "socketpair: %s", strerror(errno));
	fuzz_peers_find();
}

static void fuzz_start(int worker, uint64_t seed)
{
	fuzz_lives++;
	fflush(stdout);
	fuzz_pids[worker] = fork();
	need(fuzz_pids[worker] >= 0, "fork: %s", strerror(errno));
	if (!fuzz_pids[worker])
		fuzz_worker(worker, seed, fuzz_lives);
}

static void fuzz_hang_show(void)
{
	int i, k;

	for (i = 0; i < FUZZ_WORKERS; i++) {
		char command[128];

		for (k = 0; k < FUZZ_THREADS; k++)
			printf("worker %d thread %d: in %s\n", i, k,
			       fuzz_op_name(
				       atomic_load(&fuzz_shared->now[i][k]) -
				       1));
		snprintf(
			command, sizeof(command),
			"for t in /proc/%d/task/*; do cat $t/comm $t/wchan $t/stack; done",
			fuzz_pids[i]);
		fflush(stdout);
		if (system(command))
			continue;
	}
}

static bool fuzz_none_left(void *unused)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		;
	return pid < 0;
}

/* Ends every process, also the workers' children; false if one does not go. */
static bool fuzz_stop(void)
{
	int i;

	for (i = 0; i < FUZZ_WORKERS; i++)
		if (fuzz_pids[i] > 0)
			kill(fuzz_pids[i], SIGKILL);
	return t_wait(fuzz_none_left, NULL);
}

/* The run goes on until each state that it must reach was reached. */
static bool fuzz_goes_on(void)
{
	uint64_t limit = atomic_load(&fuzz_shared->limit);
	size_t i;

	if (atomic_load(&fuzz_shared->done) < limit)
		return true;
	for (i = 0; i < sizeof(fuzz_must) / sizeof(fuzz_must[0]); i++)
		if (!atomic_load(&fuzz_shared->good[fuzz_must[i]]))
			break;
	if (i == sizeof(fuzz_must) / sizeof(fuzz_must[0]) &&
	    atomic_load(&fuzz_shared->faults) &&
	    atomic_load(&fuzz_shared->revoked))
		return false;
	printf("goes on after %llu operations: %s\n", (unsigned long long)limit,
	       i < sizeof(fuzz_must) / sizeof(fuzz_must[0])
		       ? fuzz_op_name((int)fuzz_must[i])
		       : "no access or no call met a revoked pin");
	fflush(stdout);
	atomic_fetch_add(&fuzz_shared->limit, FUZZ_MORE);
	return true;
}

static uint64_t fuzz_watch(uint64_t seed)
{
	uint64_t random = seed, kills = 0, last = 0, now = t_now_ms();
	uint64_t moved = now, next = FUZZ_KILL_OPS;
	int i, status;
	pid_t pid;

	while (fuzz_goes_on()) {
		uint64_t done = atomic_load(&fuzz_shared->done);

		t_sleep_us(2000);
		now = t_now_ms();
		if (done != last)
			moved = now;
		last = done;
		if (now - moved > T_WAIT_MS) {
			check(false, "no operation ended in %d s",
			      T_WAIT_MS / 1000);
			fuzz_hang_show();
			break;
		}
		if (done >= next) {
			i = t_random(&random) % FUZZ_WORKERS;
			kill(fuzz_pids[i], SIGKILL);
			kills++;
			next = done + t_random(&random) % (2 * FUZZ_KILL_OPS);
		}
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			for (i = 0; i < FUZZ_WORKERS; i++) {
				if (fuzz_pids[i] != pid)
					continue;
				fuzz_start(i, seed);
				break;
			}
			/* Children end by themselves, workers by a kill. */
			check(!status || (WIFSIGNALED(status) &&
					  WTERMSIG(status) == SIGKILL),
			      "a process of worker %d ended with status %#x", i,
			      (unsigned int)status);
		}
	}
	return kills;
}

static void fuzz_report(uint64_t seed, uint64_t kills, uint64_t ms)
{
	uint64_t done = atomic_load(&fuzz_shared->done);
	char line[100];
	size_t i, n = 0;

	printf("%llu operations, seed %llu, %llu kills, %llu signals, %llu times ENODEV, %llu s, %llu a second\n",
	       (unsigned long long)done, (unsigned long long)seed,
	       (unsigned long long)kills,
	       (unsigned long long)atomic_load(&fuzz_shared->faults),
	       (unsigned long long)atomic_load(&fuzz_shared->revoked),
	       (unsigned long long)ms / 1000,
	       (unsigned long long)(done * 1000 / (ms + 1)));
	for (i = 0; i < FUZZ_OP_COUNT; i++) {
		n += (size_t)snprintf(
			line + n, sizeof(line) - n, "%s %llu/%llu  ",
			fuzz_op_name((int)i),
			(unsigned long long)atomic_load(&fuzz_shared->good[i]),
			(unsigned long long)atomic_load(
				&fuzz_shared->tried[i]));
		if (n > 60 || i + 1 == FUZZ_OP_COUNT) {
			printf("  %s\n", line);
			n = 0;
		}
	}
	check(!atomic_load(&fuzz_shared->wrong), "%llu findings",
	      (unsigned long long)atomic_load(&fuzz_shared->wrong));
}

int main(int argc, char **argv)
{
	uint64_t limit = argc > 1 ? strtoull(argv[1], NULL, 0) : 200000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : t_now_ms();
	uint64_t start = t_now_ms(), kills;
	struct gpumem_emu_counters before = emu_counters(), after;
	int i;

	printf("fuzz: %llu operations, seed %llu\n", (unsigned long long)limit,
	       (unsigned long long)seed);
	t_signals_catch();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	fuzz_setup(limit);
	for (i = 0; i < FUZZ_WORKERS; i++)
		fuzz_start(i, seed);
	kills = fuzz_watch(seed);
	check(fuzz_stop(), "processes do not die");
	/* Descriptors on their way. */
	for (i = 0; i < FUZZ_WORKERS; i++) {
		close(fuzz_shared->socks[i][0]);
		close(fuzz_shared->socks[i][1]);
	}
	fuzz_report(seed, kills, t_now_ms() - start);
	emu_check_nothing_pinned("after the fuzzing");
	after = emu_counters();
	check(after.violations == before.violations,
	      "%llu breaches of the driver's contract",
	      (unsigned long long)(after.violations - before.violations));
	printf("%llu pins revoked\n",
	       (unsigned long long)(after.callbacks - before.callbacks));
	return t_end();
}
