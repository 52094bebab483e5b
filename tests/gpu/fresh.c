// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "fresh.h"

#define ROW 16

struct writer {
	const struct fresh *fresh;
	_Atomic uint64_t written; /* the last number whose write returned */
	atomic_bool stop;
	atomic_bool failed;
};

static void *write_on(void *arg)
{
	struct writer *writer = arg;
	const struct fresh *fresh = writer->fresh;

	for (uint64_t number = 2; !atomic_load(&writer->stop); number++) {
		if (fresh->write(fresh->arg, &number, sizeof(number))) {
			atomic_store(&writer->failed, true);
			break;
		}
		atomic_store_explicit(&writer->written, number,
				      memory_order_release);
	}
	return NULL;
}

/*
 * Reads in a row, with nothing between them that would take the CPU's buffers
 * for something else.
 */
static int read_row(struct fresh *fresh, const struct writer *writer,
		    uint64_t *seen)
{
	_Alignas(64) char host[FRESH_MAX];
	int error = 0;

	for (int i = 0; i < ROW; i++) {
		error |= fresh->read(fresh->arg, host, fresh->size);
		memcpy(&seen[i], host, sizeof(seen[i]));
	}
	return error || atomic_load(&writer->failed) ? -1 : 0;
}

static int read_on(struct fresh *fresh, const struct writer *writer)
{
	for (unsigned int i = 0; i < fresh->rows; i++) {
		uint64_t told = atomic_load_explicit(&writer->written,
						     memory_order_acquire);
		uint64_t seen[ROW];

		if (read_row(fresh, writer, seen))
			return -1;
		fresh->reads += ROW;
		for (int k = 0; k < ROW; k++) {
			fresh->stale += seen[k] < told;
			fresh->again += k && seen[k] == seen[k - 1];
			fresh->back += k && seen[k] < seen[k - 1];
		}
	}
	return 0;
}

int fresh_run(struct fresh *fresh)
{
	struct writer writer = { .fresh = fresh, .written = 1 };
	uint64_t first = 1;
	pthread_t thread;
	int error;

	fresh->reads = 0;
	fresh->stale = 0;
	fresh->back = 0;
	fresh->again = 0;
	if (fresh->write(fresh->arg, &first, sizeof(first)) ||
	    pthread_create(&thread, NULL, write_on, &writer))
		return -1;
	error = read_on(fresh, &writer);
	atomic_store(&writer.stop, true);
	pthread_join(thread, NULL);
	return error;
}
