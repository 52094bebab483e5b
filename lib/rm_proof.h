/* SPDX-License-Identifier: MIT */
/*
 * The proof that a mapping made through RM shows the memory that CUDA means.
 * The way from a CUDA pointer to RM's object is not documented by NVIDIA, so no
 * mapping is handed out on trust.
 */
#ifndef GM_RM_PROOF_H
#define GM_RM_PROOF_H

#include <pthread.h>

#include "session.h"

/* Where an allocation is in RM's terms. */
struct gm_rm_place {
	uint32_t client; /* CUDA's hClient */
	uint32_t object; /* CUDA's hMemory */
	uint64_t block; /* bytes in that object */
	uint64_t offset; /* of the allocation in it */
};

#define GM_RM_PROOFS 256

/* Allocations that were proven, so that pinning them again costs nothing. */
struct gm_rm_proofs {
	pthread_mutex_t lock;
	struct gm_rm_proven {
		unsigned long long id; /* CUDA's buffer id; 0: no entry */
		uint64_t addr;
		struct gm_rm_place place;
	} proven[GM_RM_PROOFS]; /* by id modulo their number */
};

/* A mapping to be proven. */
struct gm_rm_suspect {
	const struct gm_cuda *cuda;
	CUstream stream;
	const struct gm_range *range;
	char *cpu; /* shows, or so one hopes, */
	uint64_t addr; /* this device address, and as many bytes as */
	uint64_t length; /* these */
	bool may_write;
	bool wrote; /* set by the proof: it took a trial write */
};

/* CUDA's id of the allocation at an address, never given out again, or 0. */
unsigned long long gm_rm_buffer_id(const struct gm_cuda *cuda, uint64_t addr);

bool gm_rm_proofs_have(struct gm_rm_proofs *proofs, unsigned long long id,
		       uint64_t addr, const struct gm_rm_place *place);
void gm_rm_proofs_add(struct gm_rm_proofs *proofs, unsigned long long id,
		      uint64_t addr, const struct gm_rm_place *place);

/*
 * Proves a mapping: 0, -EPROTO when it shows other memory, -EAGAIN when only a
 * write can prove it and none is allowed, or when the memory keeps changing,
 * -EIO for an error from CUDA. The memory holds what it held before.
 */
int gm_rm_prove(struct gm_rm_suspect *suspect);

#endif /* GM_RM_PROOF_H */
