/* SPDX-License-Identifier: MIT */
/* What test_two.c and two_visible.c share. */
#ifndef GPUMEM_TEST_TWO_H
#define GPUMEM_TEST_TWO_H

#include <pthread.h>

#include "gpu.h"

/* Bytes of the ranges that are worked on. */
#define TWO_LENGTH 300001ull

/* A GPU, its session and a range of memory there. */
struct two_side {
	struct gpumem *session;
	struct gpumem_device device;
	struct cuda cuda;
	char uuid[48];
	uint64_t addr;
	struct gpumem_buf *buf;
	pthread_t thread;
	enum outcome outcome;
	char why[sizeof(test_why)];
};

extern struct two_side two_sides[2];
extern const char *two_backend; /* NULL: the first that works */

/* CUDA_VISIBLE_DEVICES: another order, and hiding. */
enum outcome two_test_visible(void);

/* What a process started by two_test_visible() does: its exit status. */
int two_child_main(const char *device_id);

#endif /* GPUMEM_TEST_TWO_H */
