/* SPDX-License-Identifier: MIT */
/*
 * Whether a mapping shows the memory that CUDA means. Memory of the program is
 * read alone; memory of the library's own is written too.
 */
#ifndef GM_BACKEND_VERIFY_H
#define GM_BACKEND_VERIFY_H

#include <stdatomic.h>

#include "core/session.h"

/* What one look compares: so many places of so many bytes, at most. */
#define GM_VERIFY_PLACES 3
#define GM_VERIFY_BYTES 64

/* Random bytes that tell one memory from all others. */
#define GM_VERIFY_NONCE 16

struct gm_verifier {
	const struct gm_cuda *cuda;
	CUcontext context;
	/* It waits for none of the program's streams. */
	CUstream stream;
	/* Pinned, for copies of looks at the same time; see verify.c. */
	unsigned char *landing;
	_Atomic uint32_t taken;
};

/* Device memory, and where the CPU sees it, if the mapping is right. */
struct gm_verify_view {
	uint64_t addr;
	char *cpu;
	uint64_t length;
};

/*
 * Makes and ends a verifier of a context; a call of these and of those below
 * makes that context current itself. Thread-safe but for making and ending it.
 */
int gm_verifier_open(struct gm_verifier *verifier, const struct gm_cuda *cuda,
		     CUcontext context);
void gm_verifier_close(struct gm_verifier *verifier);

/*
 * Compares what CUDA reads with what the CPU reads, at places spread over the
 * view, and writes nothing. 0: they agree, or the memory changes meanwhile;
 * -EPROTO: they differ though nothing changes; -EIO: an error of CUDA's.
 */
int gm_verify_compare(struct gm_verifier *verifier,
		      const struct gm_verify_view *view);

/*
 * The same for memory that the library itself has allocated: random bytes at its
 * start and its end, written by CUDA and read by the CPU, then the other way
 * round.
 */
int gm_verify_own(struct gm_verifier *verifier,
		  const struct gm_verify_view *view);

/* Copies a few bytes by CUDA and waits for them. -EIO. */
int gm_verify_get(struct gm_verifier *verifier, uint64_t addr, void *bytes,
		  size_t length);
int gm_verify_put(struct gm_verifier *verifier, uint64_t addr,
		  const void *bytes, size_t length);

/* At most 256 random bytes. */
int gm_verify_random(void *bytes, size_t length);

#endif /* GM_BACKEND_VERIFY_H */
