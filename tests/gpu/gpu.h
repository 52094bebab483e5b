/* SPDX-License-Identifier: MIT */
/*
 * What the GPU tests share: the session and CUDA they run on, checks, and
 * buffers that carry a known pattern.
 */
#ifndef GPUMEM_TEST_GPU_H
#define GPUMEM_TEST_GPU_H

#include <stdbool.h>
#include <stdint.h>

#include <gpumem.h>

#include "cuda.h"

struct gpu {
	struct gpumem *session;
	const char *backend;
	struct gpumem_device device;
	struct cuda cuda;
	uint64_t seed; /* of the random tests */
};

extern struct gpu gpu;

/*
 * A test returns when a check fails; the reason stands in the calling thread's
 * test_why. test_skip() likewise, for what this machine cannot show.
 */
enum outcome { PASSED, FAILED, SKIPPED };

extern _Thread_local char test_why[512];

enum outcome test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
enum outcome test_skip(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

#define CHECK(condition)                                                    \
	do {                                                                \
		if (!(condition))                                           \
			return test_fail(__FILE__, __LINE__, "%s is false", \
					 #condition);                       \
	} while (0)

/* A gpumem call gives this result. */
#define CHECK_GIVES(expected, call)                                           \
	do {                                                                  \
		int wanted_ = (expected), got_ = (call);                      \
		if (got_ != wanted_)                                          \
			return test_fail(__FILE__, __LINE__,                  \
					 "%s gives %d, not %d (%s)", #call,   \
					 got_, wanted_, gpumem_last_error()); \
	} while (0)

#define CHECK_OK(call) CHECK_GIVES(0, call)

/* A CUDA call succeeds. */
#define CHECK_CUDA(call)                                                  \
	do {                                                              \
		int got_ = (call);                                        \
		if (got_)                                                 \
			return test_fail(__FILE__, __LINE__,              \
					 "%s gives CUDA error %d", #call, \
					 got_);                           \
	} while (0)

/* Another check's outcome, passed on unless it passed. */
#define CHECK_PASSED(call)                      \
	do {                                    \
		enum outcome outcome_ = (call); \
		if (outcome_ != PASSED)         \
			return outcome_;        \
	} while (0)

struct test {
	const char *name;
	enum outcome (*run)(void);
};

extern const struct test copy_tests[];
extern const struct test life_tests[];
extern const struct test refusal_tests[];
extern const struct test search_tests[];
extern const struct test stress_tests[];

#define EXIT_SKIPPED 77

/*
 * Opens gpu.session, describes the GPU and makes its primary context the
 * thread's. 0, or the exit status after saying why: EXIT_SKIPPED without a GPU,
 * EXIT_FAILURE where it should have worked.
 */
int gpu_open(const char *backend);

/* xorshift64*: the same numbers for the same seed, everywhere. Not of 0. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* A function of the session's libcuda, NULL where it has none. */
void *gpu_symbol(const char *name);

/* Byte i of pattern `seed`: any two seeds differ in nearly every byte. */
static inline uint8_t pattern_byte(uint64_t seed, uint64_t i)
{
	uint64_t x = (i / 8 + 1) * 0x9e3779b97f4a7c15ull ^ seed;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 32;
	return x >> (i % 8 * 8);
}

/* Writes the pattern through a CPU mapping, and has the GPU see it. */
void pattern_store(void *cpu, uint64_t length, uint64_t seed);

/* Through CUDA. */
enum outcome pattern_copy_to_gpu(uint64_t addr, uint64_t length, uint64_t seed);

/* The GPU memory, read by CUDA, holds the pattern. */
enum outcome pattern_check_gpu(uint64_t addr, uint64_t length, uint64_t seed);

/* The host memory or mapping holds the pattern. */
enum outcome pattern_check(const void *cpu, uint64_t length, uint64_t seed);

/* The GPU memory, read by CUDA, is all this byte. */
enum outcome gpu_check_byte(uint64_t addr, uint64_t length, uint8_t byte);

#endif /* GPUMEM_TEST_GPU_H */
