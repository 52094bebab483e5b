/* SPDX-License-Identifier: MIT */
/* Exporting pins as dma-bufs, and the test importer of tests/vm/importer. */
#ifndef GPUMEM_VM_T_DMABUF_H
#define GPUMEM_VM_T_DMABUF_H

#include "t.h"
#include "importer/importer.h"

#define IMPORTER_MANY 512

/* All return 0 or an errno. */
int gm_pin_flags(int fd, uint64_t addr, uint64_t length, uint32_t flags,
		 int event_fd, struct gpumem_pin *pin);
int gm_export(int fd, uint32_t pin, uint32_t flags, int *dmabuf);
int imp_attach(int imp, int dmabuf, uint32_t flags);
int imp_map(int imp);
int imp_unmap(int imp);
int imp_detach(int imp);
int imp_pin(int imp);
int imp_unpin(int imp);
int imp_fence(int imp);
int imp_signal(int imp);
int imp_read(int imp, uint64_t offset, uint32_t *value);
int imp_write(int imp, uint64_t offset, uint32_t value);

/* All stop the program where they fail. */
struct gpumem_pin gm_must_pin_flags(int fd, uint64_t addr, uint64_t length,
				    uint32_t flags);
int gm_must_export(int fd, const struct gpumem_pin *pin);
int imp_open(void);
int imp_must_map(int dmabuf, uint32_t flags); /* opens, attaches, maps */
struct importer_state imp_state(int imp);
size_t imp_runs(int imp, struct importer_run runs[IMPORTER_MANY]);

/* Waits until so many 64 KiB pages are free; checks that it comes. */
void emu_check_free_pages(uint64_t want, const char *when);

#endif /* GPUMEM_VM_T_DMABUF_H */
