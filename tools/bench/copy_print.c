// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "bench/copy.h"

/* "avx2" for "classic-avx2". */
static const char *short_name(const struct way *way)
{
	return way->classic ? way->classic->name : way->name;
}

void copy_print_header(const struct bench_copy *copy,
		       const struct copy_cell *cell)
{
	const struct way *way = copy->way[cell->read];
	int peers = copy->peer_count[cell->read];

	printf("\n%s %s host memory, device address ",
	       cell->read ? "GPU to" : "GPU from",
	       cell->pinned ? "pinned" : "pageable");
	printf(cell->align ? "a page's start + %u" : "at a page's start",
	       cell->align);
	printf(": microseconds, medians\n"
	       "%9s %10s %10s %10s %10s  %-17s",
	       "bytes", "gpumem", "p10", "p90", "best peer", "which");
	for (int i = 1; i <= peers; i++) {
		char title[16];

		snprintf(title, sizeof(title), "x %.12s", short_name(&way[i]));
		printf(" %12s", title);
	}
	printf(" %8s", "GB/s");
	for (int i = peers + 1; i < copy->way_count[cell->read]; i++)
		printf(" %10s", way[i].name);
	printf("\n");
}

void copy_print_row(const struct bench_copy *copy, const struct copy_cell *cell)
{
	const struct way *way = copy->way[cell->read];
	const struct spread *ours = &cell->spread[0];
	int best = copy_best_peer(copy, cell);
	int peers = copy->peer_count[cell->read];

	printf("%9llu %10.3f %10.3f %10.3f ", (unsigned long long)cell->length,
	       ours->median, ours->p10, ours->p90);
	if (best < 0)
		printf("%10s  %-17s", "-", "-");
	else
		printf("%10.3f  %-17s", cell->spread[best].median,
		       way[best].name);
	for (int i = 1; i <= peers; i++) {
		if (cell->count[i])
			printf(" %12.2f",
			       cell->spread[i].median / ours->median);
		else
			printf(" %12s", "-");
	}
	printf(" %8.3f", copy_rate(cell->length, ours->median));
	for (int i = peers + 1; i < copy->way_count[cell->read]; i++) {
		if (cell->count[i])
			printf(" %10.3f", cell->spread[i].median);
		else
			printf(" %10s", "-");
	}
	printf("\n");
}

static void place_range(const double *place, double *least, double *most)
{
	*least = place[0];
	*most = place[0];
	for (int i = 1; i < COPY_PLACES; i++) {
		*least = place[i] < *least ? place[i] : *least;
		*most = place[i] > *most ? place[i] : *most;
	}
}

static void copy_print_targets(const struct bench_copy *copy)
{
	struct copy_target target;

	printf("\ntargets%s\n",
	       tool_device_label(&copy->gpu.device, copy->gpu.backend));
	for (unsigned int i = 0; copy_target_get(copy, i, &target); i++) {
		printf("  %s: %s%s%s\n", target.name,
		       !target.measured ? "not in this run"
		       : target.met	? "met"
					: "missed",
		       target.measured ? ": " : "", target.detail);
	}
}

void copy_print_end(const struct bench_copy *copy)
{
	double least, most;

	printf("\n");
	for (int read = 0; read < 2; read++) {
		if (copy->place[read][0] == 0)
			continue;
		place_range(copy->place[read], &least, &most);
		printf("64 bytes %s: aligned %.3f us; at every place of a line "
		       "%.3f to %.3f us\n",
		       read ? "read" : "written", copy->place[read][0], least,
		       most);
	}
	for (int i = 1; i < COPY_WAYS_MAX; i++) {
		for (int read = 0; read < 2; read++) {
			if (copy->missing[read][i][0])
				printf("not taken: %s of %s: %s\n",
				       copy->way[read][i].name,
				       read ? "reads" : "writes",
				       copy->missing[read][i]);
		}
	}
	if (copy_apart(copy, &most, &least))
		printf("gpumem beside itself, in turns of their own: medians "
		       "at most %.1f%% apart, half of them %.1f%%\n",
		       most, least);
	printf("every byte of every way was right\n");
	if (copy->targets)
		copy_print_targets(copy);
}

static void copy_report_way(const struct copy_cell *cell, int i,
			    const char *name, struct report *to)
{
	struct report *object = report_object();
	const struct spread *spread = &cell->spread[i];

	report_number(object, "count", cell->count[i]);
	report_real(object, "min", spread->min);
	report_real(object, "p10", spread->p10);
	report_real(object, "median", spread->median);
	report_real(object, "p90", spread->p90);
	report_real(object, "max", spread->max);
	report_real(object, "gb_per_s",
		    copy_rate(cell->length, spread->median));
	report_member(to, name, object);
}

static void copy_report_cell(const struct bench_copy *copy,
			     const struct copy_cell *cell, struct report *to)
{
	struct report *object = report_object(), *ways = report_object();
	const struct way *way = copy->way[cell->read];
	int best = copy_best_peer(copy, cell);

	report_number(object, "size", cell->length);
	report_string(object, "direction", cell->read ? "read" : "write");
	report_string(object, "host", cell->pinned ? "pinned" : "pageable");
	report_number(object, "align", cell->align);
	report_real(object, "again", cell->again);
	report_string(object, "best_peer", best < 0 ? NULL : way[best].name);
	if (best >= 0)
		report_real(object, "ratio",
			    cell->spread[best].median / cell->spread[0].median);
	for (int i = 0; i < copy->way_count[cell->read]; i++) {
		if (cell->count[i])
			copy_report_way(cell, i, way[i].name, ways);
	}
	report_member(object, "us", ways);
	report_member(to, NULL, object);
}

static void copy_report_places(const double *place, const char *key,
			       struct report *to)
{
	struct report *list = report_list();

	for (int i = 0; i < COPY_PLACES && place[0] > 0; i++)
		report_real(list, NULL, place[i]);
	report_member(to, key, list);
}

static void copy_report_targets(const struct bench_copy *copy,
				struct report *to)
{
	struct report *targets = report_list();
	struct copy_target target;

	for (unsigned int i = 0; copy_target_get(copy, i, &target); i++) {
		struct report *object = report_object();

		report_string(object, "name", target.name);
		report_string(object, "result",
			      !target.measured ? NULL
			      : target.met     ? "met"
					       : "missed");
		report_string(object, "detail", target.detail);
		report_member(targets, NULL, object);
	}
	report_member(to, "targets", targets);
}

void copy_report(const struct bench_copy *copy, FILE *out)
{
	struct report *report = report_object(), *rows = report_list();
	struct report *places = report_object();

	bench_machine_report(&copy->gpu, report);
	report_bool(report, "tuned", copy->tuned);
	for (int i = 0; i < copy->cell_count; i++)
		copy_report_cell(copy, &copy->cell[i], rows);
	report_member(report, "rows", rows);
	copy_report_places(copy->place[0], "write_us", places);
	copy_report_places(copy->place[1], "read_us", places);
	report_member(report, "64_bytes_by_place", places);
	if (copy->targets)
		copy_report_targets(copy, report);
	report_write(report, out);
}
