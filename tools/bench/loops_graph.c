// SPDX-License-Identifier: MIT
/*
 * gpumem bench loops: a kernel and the copy of its result into pinned memory as
 * one CUDA graph, where libcuda has them.
 */
#include <stdio.h>
#include <string.h>

#include "bench/loops.h"

#define STREAM_NON_BLOCKING 1u
/* No call of another thread ends the capture. */
#define CAPTURE_RELAXED 2

struct graph_calls {
	int (*capture_begin)(void *stream, int mode);
	int (*capture_end)(void *stream, void **graph);
	int (*instantiate)(void **exec, void *graph, unsigned long long flags);
};

static bool graph_symbol(struct loops *loops, const char *name, void *function)
{
	void *symbol = gpumem_cuda_symbol(loops->gpu.session, name);

	if (!symbol)
		snprintf(loops->missing, sizeof(loops->missing),
			 "libcuda has no %s", name);
	/* POSIX has void * hold functions; ISO C has no cast for it. */
	memcpy(function, &symbol, sizeof(symbol));
	return symbol;
}

static bool graph_symbols(struct loops *loops, struct graph_calls *calls,
			  struct loop_graph *graph)
{
	return graph_symbol(loops, "cuStreamBeginCapture_v2",
			    &calls->capture_begin) &&
	       graph_symbol(loops, "cuStreamEndCapture", &calls->capture_end) &&
	       graph_symbol(loops, "cuGraphInstantiateWithFlags",
			    &calls->instantiate) &&
	       graph_symbol(loops, "cuGraphLaunch", &graph->launch) &&
	       graph_symbol(loops, "cuGraphExecDestroy",
			    &graph->exec_destroy) &&
	       graph_symbol(loops, "cuGraphDestroy", &graph->graph_destroy);
}

static bool graph_failed(struct loops *loops, const char *what, int result)
{
	char text[64];

	snprintf(loops->missing, sizeof(loops->missing), "%s: %.60s", what,
		 cuda_error(&loops->gpu.cuda, result, text, sizeof(text)));
	return false;
}

/* What is launched between begin and end becomes the graph. */
static int graph_capture(struct loop_side *side, void *host, uint64_t length,
			 const struct graph_calls *calls,
			 struct loop_graph *graph)
{
	struct loops *loops = side->loops;
	int result = calls->capture_begin(graph->stream, CAPTURE_RELAXED);
	int copied, ended;

	if (result)
		return result;
	result = loops_step(loops, side->addr, side->length / sizeof(uint32_t),
			    graph->stream);
	copied = loops->cuda.copy_from_gpu_async(host, side->addr, length,
						 graph->stream);
	ended = calls->capture_end(graph->stream, &graph->graph);
	if (ended)
		graph->graph = NULL;
	return result ? result : copied ? copied : ended;
}

bool loop_graph_open(struct loop_side *side, void *host, uint64_t length,
		     struct loop_graph *graph)
{
	struct loops *loops = side->loops;
	struct graph_calls calls;
	int result;

	memset(graph, 0, sizeof(*graph));
	if (!graph_symbols(loops, &calls, graph))
		return false;
	result = loops->cuda.stream_create(&graph->stream, STREAM_NON_BLOCKING);
	if (result)
		return graph_failed(loops, "cuStreamCreate", result);
	result = graph_capture(side, host, length, &calls, graph);
	if (result)
		return graph_failed(loops, "the capture", result);
	result = calls.instantiate(&graph->exec, graph->graph, 0);
	if (result)
		return graph_failed(loops, "cuGraphInstantiate", result);
	return true;
}

void loop_graph_close(struct loops *loops, struct loop_graph *graph)
{
	if (graph->exec)
		graph->exec_destroy(graph->exec);
	if (graph->graph)
		graph->graph_destroy(graph->graph);
	if (graph->stream)
		loops->cuda.stream_destroy(graph->stream);
	memset(graph, 0, sizeof(*graph));
}

int loop_graph_run(struct loop_side *side, struct loop_graph *graph)
{
	struct loops *loops = side->loops;
	int result = graph->launch(graph->exec, graph->stream);

	side->first++;
	if (result)
		return bench_cuda_failed(&loops->gpu, "cuGraphLaunch", result);
	result = loops->cuda.stream_synchronize(graph->stream);
	if (result)
		return bench_cuda_failed(&loops->gpu, "cuStreamSynchronize",
					 result);
	return 0;
}
