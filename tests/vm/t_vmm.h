/* SPDX-License-Identifier: MIT */
/* CUDA's memory of cuMemCreate and of pools, for the programs that use it. */
#ifndef GPUMEM_VM_T_VMM_H
#define GPUMEM_VM_T_VMM_H

#include "t_lib.h"

#define VMM_DEVICE 1
#define VMM_NO_HANDLE_TYPE 0
#define VMM_FD 1
#define VMM_READ 1
#define VMM_READ_WRITE 3

/* CUmemAllocationProp, CUmemAccessDesc */
struct vmm_prop {
	int type, handle_types, location_type, location;
	void *windows;
	unsigned char flags[8];
};

struct vmm_access {
	int location_type, location, flags;
};

/* Of the session opened last. */
extern struct vmm_cuda {
	int (*create)(unsigned long long *, size_t, const struct vmm_prop *,
		      unsigned long long);
	int (*release)(unsigned long long);
	int (*reserve)(uint64_t *, size_t, size_t, uint64_t,
		       unsigned long long);
	int (*map)(uint64_t, size_t, size_t, unsigned long long,
		   unsigned long long);
	int (*unmap)(uint64_t, size_t);
	int (*access)(uint64_t, size_t, const struct vmm_access *, size_t);
	int (*managed)(uint64_t *, size_t, unsigned int);
	int (*pool)(uint64_t *, size_t, void *);
	int (*pool_free)(uint64_t, void *);
	int (*synchronize)(void);
	int (*to_device)(uint64_t, const void *, size_t);
	int (*give)(int *, unsigned long long, int, unsigned long long);
	int (*take)(unsigned long long *, void *, int);
} vmm_cuda;

/* t_lib_open(), and vmm_cuda. */
struct gpumem *vmm_session_open(const char *backend);

/* The program stops where one fails. */
unsigned long long vmm_create(size_t length, int handle_types);
uint64_t vmm_reserve(size_t length);
void vmm_map(uint64_t addr, size_t length, unsigned long long handle);

#endif /* GPUMEM_VM_T_VMM_H */
