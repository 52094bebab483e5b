// SPDX-License-Identifier: MIT
#include <signal.h>
#include <time.h>

#include "base/notice.h"

#define GM_S 1000000000ull

static struct timespec gm_notice_time(uint64_t after_ns)
{
	struct timespec now;
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (uint64_t)now.tv_nsec + after_ns;
	now.tv_sec += (time_t)(ns / GM_S);
	now.tv_nsec = (long)(ns % GM_S);
	return now;
}

static void *gm_notice_thread(void *arg)
{
	struct gm_notice *notice = arg;
	const struct timespec time = gm_notice_time(notice->after_ns);
	int late = 0;

	pthread_mutex_lock(&notice->lock);
	while (!notice->over && !late)
		late = pthread_cond_timedwait(&notice->ended, &notice->lock,
					      &time);
	if (!notice->over)
		notice->say(notice->text);
	pthread_mutex_unlock(&notice->lock);
	return NULL;
}

void gm_notice_begin(struct gm_notice *notice, uint64_t after_ns,
		     void (*say)(const char *text), const char *text)
{
	pthread_condattr_t clock;
	sigset_t all, old;

	*notice = (struct gm_notice){ .after_ns = after_ns,
				      .say = say,
				      .text = text };
	pthread_mutex_init(&notice->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&notice->ended, &clock);
	pthread_condattr_destroy(&clock);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	notice->started = !pthread_create(&notice->thread, NULL,
					  gm_notice_thread, notice);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void gm_notice_end(struct gm_notice *notice)
{
	pthread_mutex_lock(&notice->lock);
	notice->over = true;
	pthread_cond_signal(&notice->ended);
	pthread_mutex_unlock(&notice->lock);
	if (notice->started)
		pthread_join(notice->thread, NULL);
	pthread_cond_destroy(&notice->ended);
	pthread_mutex_destroy(&notice->lock);
}
