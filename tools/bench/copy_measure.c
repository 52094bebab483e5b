// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "bench/copy.h"

/* Rounds that a row gets however long they take. */
static int copy_rounds(uint64_t length)
{
	return length >= 1 << 20 ? 31 : 51;
}

/* Rounds of 64 bytes at every place of a line. */
#define PLACE_ROUNDS 200
#define PLACE_CALLS 8

bool copy_apart(const struct bench_copy *copy, double *most, double *middle)
{
	struct stats *apart = calloc(1, sizeof(*apart));

	*most = 0;
	*middle = 0;
	for (int i = 0; apart && i < copy->cell_count; i++) {
		const struct copy_cell *cell = &copy->cell[i];
		double a = cell->spread[0].median, b = cell->again;
		double by = a > b ? a - b : b - a;

		if (a <= 0)
			continue;
		by *= 100 / a;
		stats_add(apart, by);
		if (by > *most)
			*most = by;
	}
	if (apart && apart->count)
		*middle = stats_median(apart);
	free(apart);
	return copy->cell_count;
}

double copy_rate(uint64_t length, double us)
{
	return us > 0 ? length / us / 1e3 : 0;
}

int copy_best_peer(const struct bench_copy *copy, const struct copy_cell *cell)
{
	int best = -1;

	for (int i = 1; i <= copy->peer_count[cell->read]; i++) {
		if (cell->count[i] &&
		    (best < 0 ||
		     cell->spread[i].median < cell->spread[best].median))
			best = i;
	}
	return best;
}

/* The memory that a run works with. */
struct room {
	struct bench_memory memory;
	struct bench_host host[2];
	struct bench_host check;
	struct way_result results[COPY_WAYS_MAX + 1];
};

static int copy_cell_measure(struct bench_copy *copy, struct room *room,
			     struct copy_cell *cell)
{
	struct way ways[COPY_WAYS_MAX + 1];
	int count = copy->way_count[cell->read];
	struct spread again;
	struct way_job job = {
		.gpu = &copy->gpu,
		.memory = &room->memory,
		.host = &room->host[cell->pinned],
		.read = cell->read,
		.offset = cell->align,
		.length = cell->length,
	};

	copy->limits.rounds = copy_rounds(cell->length);
	memcpy(ways, copy->way[cell->read], count * sizeof(ways[0]));
	ways[count] = ways[0];
	for (int i = 0; i < count; i++) {
		int status = way_verify(&ways[i], &job, &room->check);

		if (status)
			return status;
	}
	way_measure(ways, count + 1, &job, &copy->limits, room->results);
	if (room->results[count].error) {
		tool_error("%s: %s", ways[0].name, room->results[count].why);
		return TOOL_FAILED;
	}
	stats_spread(&room->results[count].stats, &again);
	cell->again = again.median;
	for (int i = 0; i < count; i++) {
		const struct way_result *result = &room->results[i];

		if (result->error && !i) {
			tool_error("%s: %s", ways[i].name, result->why);
			return TOOL_FAILED;
		}
		if (result->error)
			snprintf(copy->missing[cell->read][i],
				 sizeof(result->why), "%s", result->why);
		cell->count[i] = result->stats.count;
		stats_spread(&result->stats, &cell->spread[i]);
	}
	return 0;
}

/* 64 bytes at every place of a line, in turns. */
static int copy_places(struct bench_copy *copy, struct room *room, bool read)
{
	const struct way *way = &copy->way[read][0];
	struct way_job job = {
		.gpu = &copy->gpu,
		.memory = &room->memory,
		.host = &room->host[0],
		.read = read,
		.length = 64,
	};
	struct stats *stats = calloc(COPY_PLACES, sizeof(*stats));
	char why[232] = "out of host memory";
	int error = stats ? 0 : -1;
	double begin = tool_now();
	unsigned int seed = 1;
	int order[COPY_PLACES];

	for (int i = 0; i < COPY_PLACES; i++)
		order[i] = i;
	for (int round = 0; round < PLACE_ROUNDS && !error; round++) {
		/* What comes again and again hits no place more than others. */
		for (int k = COPY_PLACES; k > 1; k--) {
			int other = rand_r(&seed) % k, moved = order[k - 1];

			order[k - 1] = order[other];
			order[other] = moved;
		}
		for (int k = 0; k < COPY_PLACES && !error; k++) {
			int i = order[k];
			double start;

			job.offset = i;
			error = way_copy(way, &job, why, sizeof(why));
			start = tool_now();
			if (!error)
				error = way_copies(way, &job, PLACE_CALLS, why,
						   sizeof(why));
			stats_add(&stats[i],
				  (tool_now() - start) / PLACE_CALLS);
		}
		tool_pace(begin, copy->limits.spread_us, round + 1,
			  PLACE_ROUNDS);
	}
	for (int i = 0; i < COPY_PLACES && !error; i++)
		copy->place[read][i] = stats_median(&stats[i]);
	free(stats);
	if (!error)
		return 0;
	tool_error("%s: %s", way->name, why);
	return TOOL_FAILED;
}

static int copy_group(struct bench_copy *copy, struct room *room, bool read,
		      bool pinned, unsigned int align)
{
	int status = 0;

	for (int i = 0; i < copy->size_count && !status; i++) {
		struct copy_cell *cell = &copy->cell[copy->cell_count];

		cell->length = copy->size[i];
		cell->read = read;
		cell->pinned = pinned;
		cell->align = align;
		if (!i && !copy->gpu.target.json)
			copy_print_header(copy, cell);
		status = copy_cell_measure(copy, room, cell);
		if (status)
			break;
		copy->cell_count++;
		if (!copy->gpu.target.json)
			copy_print_row(copy, cell);
	}
	return status;
}

static int copy_groups(struct bench_copy *copy, struct room *room)
{
	int status = 0;

	for (int group = 0; group < 4 && !status; group++) {
		bool read = group & 2, pinned = group & 1;

		if (!copy->direction[read] || !copy->host[pinned])
			continue;
		for (int i = 0; i < copy->align_count && !status; i++)
			status = copy_group(copy, room, read, pinned,
					    copy->align[i]);
		if (!status && !pinned)
			status = copy_places(copy, room, read);
	}
	return status;
}

int copy_measure(struct bench_copy *copy)
{
	struct gpumem_copy_plan plan = { .size = sizeof(plan) };
	uint64_t largest = COPY_PLACES * 2;
	struct room *room;
	int status;

	status = bench_gpu_check_sizes(&copy->gpu,
				       copy->ranged ? "--max" : "--size",
				       copy->size, copy->size_count, 3);
	if (status)
		return status;
	if (gpumem_copy_explain(copy->gpu.session, 64, 0, &plan))
		return tool_gpumem_error("asking for the plan");
	copy->tuned = plan.measured;
	if (!copy->gpu.target.json) {
		bench_machine_print(&copy->gpu);
		printf("plan     %s\n",
		       copy->tuned ? "measured by gpumem tune" : "built in");
	}
	for (int i = 0; i < copy->size_count; i++) {
		if (copy->size[i] > largest)
			largest = copy->size[i];
	}
	largest += BENCH_GUARD;
	room = calloc(1, sizeof(*room));
	copy->cell = calloc(4 * copy->align_count * copy->size_count,
			    sizeof(*copy->cell));
	if (!room || !copy->cell) {
		free(room);
		tool_error("out of host memory");
		return TOOL_FAILED;
	}
	/* What it cannot have the rows show. */
	gpumem_copy_prepare(copy->gpu.session);
	status = bench_memory_new(&copy->gpu, largest, &room->memory);
	for (int i = 0; i < 2 && !status; i++)
		status = bench_host_new(&copy->gpu, largest, i, &room->host[i]);
	if (!status)
		status = bench_host_new(&copy->gpu, largest, false,
					&room->check);
	if (!status)
		status = copy_groups(copy, room);
	for (int i = 0; i < 2; i++)
		bench_host_free(&copy->gpu, &room->host[i]);
	bench_host_free(&copy->gpu, &room->check);
	bench_memory_free(&room->memory);
	free(room);
	return status;
}
