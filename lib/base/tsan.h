/* SPDX-License-Identifier: MIT */
/* Facts of which ThreadSanitizer cannot know, told to it; nothing elsewhere. */
#ifndef GM_TSAN_H
#define GM_TSAN_H

#include <pthread.h>

#if defined(__SANITIZE_THREAD__)
#define GM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GM_TSAN 1
#endif
#endif

#ifdef GM_TSAN
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
void __tsan_mutex_pre_unlock(void *lock, unsigned int flags);
void __tsan_mutex_post_unlock(void *lock, unsigned int flags);
#endif

/*
 * Between the two the calling thread stands for a device: what orders its
 * accesses is no part of C's memory model.
 */
static inline void gm_tsan_device_begin(void)
{
#ifdef GM_TSAN
	AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
	AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
}

static inline void gm_tsan_device_end(void)
{
#ifdef GM_TSAN
	AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
	AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
#endif
}

/* The calling thread does not hold it any more, though it did not unlock it. */
static inline void gm_tsan_forget(pthread_mutex_t *lock)
{
#ifdef GM_TSAN
	__tsan_mutex_pre_unlock(lock, 0);
	__tsan_mutex_post_unlock(lock, 0);
#else
	(void)lock;
#endif
}

#endif /* GM_TSAN_H */
