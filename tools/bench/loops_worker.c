// SPDX-License-Identifier: MIT
/* gpumem bench loops --worker: one of the processes that read at once. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/loops.h"
#include "bench/worker.h"

#define WARM_UP 2

struct worker {
	struct loops *loops;
	struct loop_side side[LOOP_COPIES];
	struct bench_host host;
};

static int worker_answer(int status, double us)
{
	struct worker_answer answer = { .status = status, .us = us };

	if (send(STDIN_FILENO, &answer, sizeof(answer), MSG_NOSIGNAL) ==
	    sizeof(answer))
		return status;
	tool_error("--worker: the bench that started this process is gone");
	return status ? status : TOOL_FAILED;
}

/* False when no more orders come. */
static bool worker_next(const struct worker *worker, struct worker_order *order)
{
	ssize_t n;

	do
		n = recv(STDIN_FILENO, order, sizeof(*order), 0);
	while (n < 0 && errno == EINTR);
	return n == sizeof(*order) && order->way >= 0 &&
	       order->way < LOOP_COPIES && order->bytes &&
	       order->bytes <= worker->host.length;
}

static int worker_measure(struct worker *worker,
			  const struct worker_order *order, double *us)
{
	struct loop_side *side = &worker->side[order->way];
	double sum = 0;
	int status = 0;
	long count = 0;

	for (int i = 0; i < WARM_UP && !status; i++)
		status = loop_side_next(side, worker->host.memory, order->bytes,
					&sum);
	while (tool_now() < order->begin_us)
		;
	sum = 0;
	while (!status && (!count || tool_now() < order->end_us)) {
		status = loop_side_next(side, worker->host.memory, order->bytes,
					&sum);
		count++;
	}
	*us = count ? sum / count : 0;
	return status;
}

static int worker_order(struct worker *worker, const struct worker_order *order)
{
	const struct bench_gpu *gpu = &worker->loops->gpu;
	int result = gpu->cuda.context_synchronize();
	double us = 0;
	int status;

	if (result)
		status = bench_cuda_failed(gpu, "cuCtxSynchronize", result);
	else
		status = worker_measure(worker, order, &us);
	return worker_answer(status, us);
}

static int worker_serve(struct worker *worker)
{
	struct worker_order order;
	int status = worker_answer(0, 0);

	while (!status && worker_next(worker, &order))
		status = worker_order(worker, &order);
	return status;
}

int loops_worker_run(struct loops *loops)
{
	struct worker worker = { .loops = loops };
	uint64_t length = loops->size[0];
	int status = bench_host_new(&loops->gpu, length, false, &worker.host);

	loops->now = "processes";
	if (!status)
		status = loop_sides_open(loops, length + LOOP_SHIFT,
					 worker.side);
	if (!status)
		status = worker_serve(&worker);
	else
		worker_answer(status, 0);
	loop_sides_close(worker.side);
	bench_host_free(&loops->gpu, &worker.host);
	return status;
}
