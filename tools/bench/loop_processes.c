// SPDX-License-Identifier: MIT
/*
 * processes: 1, 2 and 4 processes that read from one GPU at once. Each is this
 * program, started anew: CUDA does not work in a forked child.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/loops.h"
#include "bench/worker.h"

#define PROCESSES_MAX 4
/* A process that takes longer to start, or to end a block, has failed. */
#define LIMIT_MS 60000
#define END_MS 10000
/* From an order to the window: all have got theirs by then. */
#define LEAD_US 10000
#define WORDS_MAX 12

extern char **environ;

struct crew {
	struct loops *loops;
	int count;
	pid_t pid[PROCESSES_MAX];
	int socket[PROCESSES_MAX];
};

/* This command's own words, for the same GPU. */
static void crew_words(const struct loops *loops, char **words, char *numbers,
		       size_t room, uint64_t bytes)
{
	const struct tool_target *target = &loops->gpu.target;
	int count = 0, used;

	words[count++] = (char *)"gpumem";
	words[count++] = (char *)"bench";
	words[count++] = (char *)"loops";
	words[count++] = (char *)"--worker";
	used = snprintf(numbers, room, "--size=%llu",
			(unsigned long long)bytes) +
	       1;
	words[count++] = numbers;
	if (target->backend) {
		words[count++] = (char *)"--backend";
		words[count++] = (char *)target->backend;
	}
	if (target->device_id) {
		words[count++] = (char *)"--device-id";
		words[count++] = (char *)target->device_id;
	} else {
		snprintf(numbers + used, room - used, "--device=%d",
			 target->device);
		words[count++] = numbers + used;
	}
	words[count] = NULL;
}

/* The socket is the process's standard input. Returns 0 or an errno. */
static int crew_spawn(char **words, int socket, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);

	if (error)
		return error;
	error = posix_spawn_file_actions_adddup2(&actions, socket,
						 STDIN_FILENO);
	if (!error)
		error = posix_spawn(pid, "/proc/self/exe", &actions, NULL,
				    words, environ);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

static int crew_start(struct crew *crew, char **words)
{
	int pair[2], error = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		error = errno;
	if (!error) {
		error = crew_spawn(words, pair[1], &crew->pid[crew->count]);
		close(pair[1]);
		if (error)
			close(pair[0]);
	}
	if (error) {
		tool_error("no process can be started: %s", strerror(error));
		return TOOL_FAILED;
	}
	crew->socket[crew->count++] = pair[0];
	return 0;
}

static int crew_answer(struct crew *crew, int i, double *us)
{
	struct pollfd ready = { .fd = crew->socket[i], .events = POLLIN };
	struct worker_answer answer;
	int n;

	do
		n = poll(&ready, 1, LIMIT_MS);
	while (n < 0 && errno == EINTR);
	if (n == 1 && recv(crew->socket[i], &answer, sizeof(answer),
			   MSG_DONTWAIT) == sizeof(answer)) {
		*us += answer.us;
		return answer.status;
	}
	tool_error("process %d of %d %s", i + 1, crew->count,
		   n ? "ended before it answered"
		     : "did not answer in a minute");
	return TOOL_FAILED;
}

/* Every answer is taken, also after one that is an error. */
static int crew_answers(struct crew *crew, double *us)
{
	int status = 0;

	*us = 0;
	for (int i = 0; i < crew->count; i++) {
		int failed = crew_answer(crew, i, us);

		status = status ? status : failed;
	}
	*us /= crew->count;
	return status;
}

/* Until it has ended, or so long. */
static bool crew_ended(pid_t pid, int limit_ms)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < limit_ms; i++) {
		if (waitpid(pid, NULL, WNOHANG))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

/* At the end of their input they end. One that does not is killed. */
static void crew_end(struct crew *crew)
{
	for (int i = 0; i < crew->count; i++)
		close(crew->socket[i]);
	for (int i = 0; i < crew->count; i++) {
		if (crew_ended(crew->pid[i], END_MS))
			continue;
		kill(crew->pid[i], SIGKILL);
		waitpid(crew->pid[i], NULL, 0);
	}
}

static int crew_begin(struct crew *crew, int count, uint64_t bytes)
{
	char *words[WORDS_MAX], numbers[64];
	int status = 0;
	double none;

	crew_words(crew->loops, words, numbers, sizeof(numbers), bytes);
	for (int i = 0; i < count && !status; i++)
		status = crew_start(crew, words);
	if (!status)
		status = crew_answers(crew, &none);
	return status;
}

/* All read in the same window. */
static int crew_block(struct loop_cell *cell, int way, double *us)
{
	struct crew *crew = cell->work;
	struct worker_order order = { .way = way, .bytes = cell->bytes[0] };

	order.begin_us = tool_now() + LEAD_US;
	order.end_us = order.begin_us + cell->time_us;
	for (int i = 0; i < crew->count; i++) {
		if (send(crew->socket[i], &order, sizeof(order),
			 MSG_NOSIGNAL) == sizeof(order))
			continue;
		tool_error("process %d of %d ended", i + 1, crew->count);
		return TOOL_FAILED;
	}
	return crew_answers(crew, us);
}

static int crew_sizes(struct crew *crew, const uint64_t *sizes, int count)
{
	int status = 0;

	for (int i = 0; i < count && !status; i++) {
		struct loop_cell cell =
			loop_cell(crew->loops, "processes", "read", sizes[i]);

		cell.processes = crew->count;
		cell.block = crew_block;
		cell.work = crew;
		status = loop_cell_measure(&cell);
	}
	return status;
}

static uint64_t largest_of(const uint64_t *sizes, int count)
{
	uint64_t largest = 0;

	for (int i = 0; i < count; i++)
		largest = sizes[i] > largest ? sizes[i] : largest;
	return largest;
}

int loop_processes_run(struct loops *loops)
{
	static const uint64_t own[] = { 4 << 10, 32 << 10, 64 << 10, 1 << 20,
					0 };
	uint64_t sizes[LOOPS_SIZES_MAX];
	int count = loop_sizes(loops, own, sizes), status = 0;

	for (int n = 1; n <= PROCESSES_MAX && !status; n *= 2) {
		struct crew crew = { .loops = loops };

		status = crew_begin(&crew, n, largest_of(sizes, count));
		if (!status)
			status = crew_sizes(&crew, sizes, count);
		crew_end(&crew);
	}
	return status;
}
