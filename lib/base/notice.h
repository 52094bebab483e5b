/* SPDX-License-Identifier: MIT */
/* Says what a call waits for, where that takes long. */
#ifndef GM_NOTICE_H
#define GM_NOTICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct gm_notice {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t ended; /* with lock: over is set */
	bool over, started;
	uint64_t after_ns;
	void (*say)(const char *text);
	const char *text;
};

/*
 * Until gm_notice_end(): where that comes later than after_ns from now, calls say
 * once, in another thread, which takes none of the program's signals. Without the
 * means for a thread nothing is said.
 */
void gm_notice_begin(struct gm_notice *notice, uint64_t after_ns,
		     void (*say)(const char *text), const char *text);
void gm_notice_end(struct gm_notice *notice);

#endif /* GM_NOTICE_H */
