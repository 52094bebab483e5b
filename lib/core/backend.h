/* SPDX-License-Identifier: MIT */
/*
 * Backends: the ways to a GPU's memory. Functions that return int return 0 or a
 * negative errno with the reason stored by gm_error().
 */
#ifndef GM_BACKEND_H
#define GM_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#include "core/session.h"

struct gm_backend_ops {
	const char *name;

	/* pin takes a range over allocations that are mapped side by side. */
	bool spans;

	/*
	 * Whether the backend can work here, for this user, with one line of
	 * how or why in reason. Initialises no CUDA. Unlike the others it
	 * leaves the stored reason alone.
	 */
	int (*probe)(char *reason, size_t size);

	/* Loads the libcuda that goes with the backend. */
	int (*load_cuda)(struct gm_cuda *cuda);

	/* Sets session->backend. The session's context is not current. */
	int (*open)(struct gm_session *session);
	/* Undoes open; no buffer is left. */
	void (*close)(struct gm_session *session);
	/* In a forked child: closes its descriptors and frees its memory. */
	void (*drop)(struct gm_session *session);

	/*
	 * Pins range for buf and sets buf's backend, page_* and addr_offset.
	 * range->context is current. options are checked against each other,
	 * not whether the backend has what they ask for.
	 */
	int (*pin)(struct gm_buf *buf, const struct gm_range *range,
		   const struct gpumem_pin_options *options);
	/*
	 * As pin, for memory of an earlier pin, where that is known to be there
	 * still. -ENOENT: it must be looked at by pin; stores no reason. No
	 * context is current.
	 */
	int (*repin)(struct gm_buf *buf,
		     const struct gpumem_pin_options *options);
	/* Undoes pin, and map where base is not NULL. */
	void (*unpin)(struct gm_buf *buf);
	/* In a forked child, as above. */
	void (*drop_buf)(struct gm_buf *buf);

	/* Sets buf->base; called with buf->lock while it is NULL. */
	int (*map)(struct gm_buf *buf);
	/* Undoes map; with buf->lock. */
	void (*unmap)(struct gm_buf *buf);

	/*
	 * -ENODEV when the driver took the memory back, -EIO when that cannot
	 * be found out, -EOPNOTSUPP where the backend's pins outlive
	 * cuMemFree(). Stores no reason.
	 */
	int (*alive)(struct gm_buf *buf);

	/* Physical addresses of count pages from first on; with buf->lock. */
	int (*pages)(struct gm_buf *buf, uint64_t first, uint64_t *pages,
		     size_t count);

	/* Maps dma->buf for dma->peer; sets dma's id, page_size, run_count. */
	int (*dma_map)(struct gm_dma *dma);
	/* Undoes dma_map. */
	void (*dma_unmap)(struct gm_dma *dma);
	/* Its count runs from first on. */
	int (*dma_runs)(struct gm_dma *dma, uint64_t first,
			struct gpumem_run *runs, size_t count);

	/* A dma-buf of buf, close-on-exec. */
	int (*export_dmabuf)(struct gm_buf *buf, unsigned int flags,
			     struct gpumem_dmabuf *dmabuf);

	/*
	 * Gives back memory that the backend keeps without a user. False when
	 * there was none.
	 */
	bool (*flush)(struct gm_session *session);
};

/* For a backend that keeps nothing for reuse: -ENOENT, false. */
int gm_backend_no_repin(struct gm_buf *buf,
			const struct gpumem_pin_options *options);
bool gm_backend_no_flush(struct gm_session *session);

/* For a backend without revocation: -EOPNOTSUPP. */
int gm_backend_no_alive(struct gm_buf *buf);

/*
 * For a backend without the kernel module: -EOPNOTSUPP with its reason where
 * the options ask for what that alone can do.
 */
int gm_backend_check_pin(const struct gm_buf *buf,
			 const struct gpumem_pin_options *options);

/* For such a backend: -EOPNOTSUPP with its reason, and what is never called. */
int gm_backend_no_dma_map(struct gm_dma *dma);
void gm_backend_no_dma_unmap(struct gm_dma *dma);
int gm_backend_no_dma_runs(struct gm_dma *dma, uint64_t first,
			   struct gpumem_run *runs, size_t count);
int gm_backend_no_export(struct gm_buf *buf, unsigned int flags,
			 struct gpumem_dmabuf *dmabuf);

/* True where the machine shows no trace of an NVIDIA GPU. */
bool gm_backend_no_gpu(void);

/*
 * For a backend that goes through the kernel: -ELIBACC with its reason where
 * the session's libcuda simulates a GPU that no kernel knows of.
 */
int gm_backend_check_cuda(struct gm_session *session);

/* Maps fd and keeps the mapping from forked children. NULL with errno. */
void *gm_backend_mmap(int fd, uint64_t length, uint64_t offset);

/* The same, from offset 0 on, to be read alone. */
void *gm_backend_mmap_read(int fd, uint64_t length);

/* The same in the place of what is mapped at addr, from offset 0 on. */
void *gm_backend_mmap_over(void *addr, int fd, uint64_t length);

/* "add yourself to group G" where a group may open the node, else "be root". */
void gm_backend_access_hint(const char *node, char *hint, size_t size);

/* Room for each of these hints. */
#define GM_HINT_LENGTH 152

/* How to come by gpumem.ko, or the NVIDIA driver, by what this machine has. */
void gm_backend_module_hint(char *hint, size_t size);
void gm_backend_driver_hint(char *hint, size_t size);

#endif /* GM_BACKEND_H */
