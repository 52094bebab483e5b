// SPDX-License-Identifier: MIT
/* Operations that are calls of /dev/gpumem and of the emulated GPU. */
#include "fuzz.h"

#include <linux/dma-buf.h>
#include <sys/eventfd.h>

void fuzz_open(struct fuzz_ctx *c)
{
	int flags = fuzz_chance(c, 90)	 ? O_RDWR
		    : fuzz_chance(c, 50) ? O_RDONLY
					 : O_WRONLY;
	int fd = open(GPUMEM_DEVICE_NODE, flags | O_CLOEXEC);

	fuzz_result(c, FUZZ_OPEN, fd < 0 ? errno : 0);
	if (fd < 0)
		return;
	fuzz_set_forbidden(fd, false);
	fuzz_put_file(c, fd, false, false);
}

void fuzz_close(struct fuzz_ctx *c)
{
	struct fuzz_thing file;

	if (!fuzz_take(c, FUZZ_FILES, &file))
		return;
	fuzz_end(c, FUZZ_FILES, &file);
	fuzz_result(c, FUZZ_CLOSE, 0);
}

void fuzz_dup(struct fuzz_ctx *c)
{
	struct fuzz_thing file;
	int fd;

	if (!fuzz_pick(c, FUZZ_FILES, &file))
		return;
	fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 0);
	fuzz_result(c, FUZZ_DUP, fd < 0 ? errno : 0);
	if (fd < 0)
		return;
	fuzz_set_forbidden(fd, fuzz_is_forbidden(file.fd));
	fuzz_put_file(c, fd, file.foreign, file.claimed);
}

/* Every GPU page of the block gets this process's mark before it is used. */
void fuzz_alloc(struct fuzz_ctx *c)
{
	struct fuzz_thing block = {
		.bytes = 2 * MIB * (1 + (uint64_t)fuzz_chance(c, 20))
	};
	uint64_t at;
	int r = emu_try_alloc(c->emu, block.bytes, &block.at);

	fuzz_result(c, FUZZ_ALLOC, r);
	if (r)
		return;
	for (at = 0; at < block.bytes; at += GPU_PAGE)
		if (emu_write(c->emu, block.at + at, &c->mark,
			      sizeof(c->mark))) {
			emu_free(c->emu, block.at);
			return;
		}
	fuzz_put(c, FUZZ_BLOCKS, &block);
}

void fuzz_free(struct fuzz_ctx *c)
{
	struct fuzz_thing block;

	if (!fuzz_take(c, FUZZ_BLOCKS, &block))
		return;
	fuzz_result(c, FUZZ_FREE, emu_free(c->emu, block.at));
}

void fuzz_copy(struct fuzz_ctx *c)
{
	struct fuzz_thing block;
	uint64_t page;
	uint32_t mark = 0;
	int r;

	if (!fuzz_pick(c, FUZZ_BLOCKS, &block))
		return;
	page = fuzz_below(c, (uint32_t)(block.bytes / GPU_PAGE)) * GPU_PAGE;
	r = emu_read(c->emu, block.at + page, &mark, sizeof(mark));
	if (!r && mark != c->mark && mark)
		fuzz_wrong(c, "CUDA's side of a block shows mark %#x, not %#x",
			   mark, c->mark);
	fuzz_result(c, FUZZ_COPY, r);
}

void fuzz_version(struct fuzz_ctx *c)
{
	struct gpumem_version *v = (void *)c->buf;
	struct fuzz_thing file;

	if (!fuzz_pick(c, FUZZ_FILES, &file))
		return;
	*v = (struct gpumem_version){ .size = sizeof(*v) };
	fuzz_mutate(c, v, sizeof(*v));
	fuzz_result(c, FUZZ_VERSION,
		    t_ioctl(file.fd, GPUMEM_IOC_VERSION, fuzz_pointer(c, v)));
}

/* A range of a block: all, a part, or a little more than there is. */
static bool fuzz_range(struct fuzz_ctx *c, uint64_t *addr, uint64_t *length)
{
	struct fuzz_thing block;

	if (!fuzz_pick(c, FUZZ_BLOCKS, &block))
		return false;
	*addr = block.at;
	*length = block.bytes;
	if (fuzz_chance(c, 70)) {
		*addr += fuzz_below(c, (uint32_t)block.bytes);
		*length = 1 + fuzz_below(c, (uint32_t)(block.at + block.bytes -
						       *addr));
	}
	if (fuzz_chance(c, 3))
		*length += fuzz_below(c, 2 * MIB);
	return true;
}

void fuzz_pin(struct fuzz_ctx *c)
{
	struct gpumem_pin *p = (void *)c->buf;
	struct fuzz_thing file, event, pin;
	uint64_t addr, length;
	int r;

	if (!fuzz_pick(c, FUZZ_FILES, &file))
		return;
	if (!fuzz_range(c, &addr, &length))
		return;
	*p = (struct gpumem_pin){ .size = sizeof(*p),
				  .addr = addr,
				  .length = length };
	if (fuzz_chance(c, 20))
		p->flags |= GPUMEM_PIN_PERSISTENT;
	if (fuzz_chance(c, 3))
		p->flags |= GPUMEM_PIN_FORCE_BAR1;
	if (fuzz_chance(c, 15) && fuzz_pick(c, FUZZ_EVENTS, &event)) {
		p->flags |= GPUMEM_PIN_EVENTFD;
		p->event_fd = event.fd;
	}
	fuzz_mutate(c, p, sizeof(*p));
	r = t_ioctl(file.fd, GPUMEM_IOC_PIN, fuzz_pointer(c, p));
	fuzz_file_result(c, FUZZ_PIN, file.fd, r);
	if (r)
		return;
	fuzz_claimed(file.id);
	pin = (struct fuzz_thing){ .fd = file.fd,
				   .foreign = file.foreign,
				   .id = p->pin,
				   .at = p->mmap_offset,
				   .bytes = p->page_count * p->page_size };
	fuzz_put(c, FUZZ_PINS, &pin);
}

void fuzz_unpin(struct fuzz_ctx *c)
{
	struct gpumem_unpin *u = (void *)c->buf;
	struct fuzz_thing pin;
	int r;

	if (!fuzz_take(c, FUZZ_PINS, &pin))
		return;
	*u = (struct gpumem_unpin){ .size = sizeof(*u),
				    .pin = (uint32_t)pin.id };
	if (fuzz_mutate(c, u, sizeof(*u)))
		fuzz_put(c, FUZZ_PINS, &pin);
	r = t_ioctl(pin.fd, GPUMEM_IOC_UNPIN, fuzz_pointer(c, u));
	fuzz_file_result(c, FUZZ_UNPIN, pin.fd, r);
}

void fuzz_info(struct fuzz_ctx *c)
{
	struct gpumem_info *i = (void *)c->buf;
	struct fuzz_thing pin;

	if (!fuzz_pick(c, FUZZ_PINS, &pin))
		return;
	*i = (struct gpumem_info){ .size = sizeof(*i),
				   .pin = (uint32_t)pin.id };
	fuzz_mutate(c, i, sizeof(*i));
	fuzz_file_result(c, FUZZ_INFO, pin.fd,
			 t_ioctl(pin.fd, GPUMEM_IOC_INFO, fuzz_pointer(c, i)));
}

void fuzz_pages(struct fuzz_ctx *c)
{
	struct gpumem_pages *g = (void *)c->buf;
	struct fuzz_thing pin;

	if (!fuzz_pick(c, FUZZ_PINS, &pin))
		return;
	*g = (struct gpumem_pages){ .size = sizeof(*g),
				    .pin = (uint32_t)pin.id,
				    .first = fuzz_below(c, 8),
				    .count = 1 + fuzz_below(c, 80) };
	g->pages = (uintptr_t)fuzz_pointer(c, c->room);
	fuzz_mutate(c, g, offsetof(struct gpumem_pages, pages));
	fuzz_file_result(c, FUZZ_PAGES, pin.fd,
			 t_ioctl(pin.fd, GPUMEM_IOC_PAGES, fuzz_pointer(c, g)));
}

void fuzz_lock(struct fuzz_ctx *c)
{
	struct gpudma_lock_t *l = (void *)c->buf;
	struct fuzz_thing file, lock;
	int r;

	if (!fuzz_pick(c, FUZZ_FILES, &file))
		return;
	*l = (struct gpudma_lock_t){ .handle = NULL };
	if (!fuzz_range(c, &l->addr, &l->size))
		return;
	fuzz_mutate(c, l, sizeof(*l));
	r = t_ioctl(file.fd, IOCTL_GPUMEM_LOCK, fuzz_pointer(c, l));
	fuzz_file_result(c, FUZZ_LOCK, file.fd, r);
	if (r)
		return;
	fuzz_claimed(file.id);
	lock = (struct fuzz_thing){ .fd = file.fd,
				    .foreign = file.foreign,
				    .id = (uintptr_t)l->handle };
	fuzz_put(c, FUZZ_LOCKS, &lock);
}

void fuzz_unlock(struct fuzz_ctx *c)
{
	struct gpudma_unlock_t *u = (void *)c->buf;
	struct fuzz_thing lock;
	int r;

	if (!fuzz_take(c, FUZZ_LOCKS, &lock))
		return;
	u->handle = (void *)(uintptr_t)lock.id;
	if (fuzz_mutate(c, u, sizeof(*u)))
		fuzz_put(c, FUZZ_LOCKS, &lock);
	r = t_ioctl(lock.fd, IOCTL_GPUMEM_UNLOCK, fuzz_pointer(c, u));
	fuzz_file_result(c, FUZZ_UNLOCK, lock.fd, r);
}

void fuzz_state(struct fuzz_ctx *c)
{
	struct gpudma_state_t *s = (void *)c->room;
	struct fuzz_thing lock, phys;
	int r;

	if (!fuzz_pick(c, FUZZ_LOCKS, &lock))
		return;
	s->handle = (void *)(uintptr_t)lock.id;
	s->page_count = fuzz_chance(c, 80) ? 1024 : fuzz_below(c, 64);
	/* A count that is not true would have it written past the room. */
	fuzz_mutate(c, s, sizeof(s->handle));
	s->page_size = 0;
	r = t_ioctl(lock.fd, IOCTL_GPUMEM_STATE, fuzz_pointer(c, s));
	fuzz_file_result(c, FUZZ_STATE, lock.fd, r);
	if (r || !s->page_count || !s->page_size)
		return;
	phys = (struct fuzz_thing){
		.fd = lock.fd,
		.foreign = lock.foreign,
		.at = s->pages[fuzz_below(c, (uint32_t)s->page_count)],
		.bytes = s->page_size
	};
	fuzz_put(c, FUZZ_PHYS, &phys);
}

void fuzz_dma_map(struct fuzz_ctx *c)
{
	struct gpumem_dma_map *m = (void *)c->buf;
	struct fuzz_thing pin, dma;
	uint32_t peer;
	int r;

	if (!fuzz_pick(c, FUZZ_PINS, &pin))
		return;
	peer = fuzz_below(c, fuzz_shared->peers);
	*m = (struct gpumem_dma_map){
		.size = sizeof(*m),
		.pin = (uint32_t)pin.id,
		.bus = (uint8_t)(fuzz_shared->peer[peer] >> 8),
		.devfn = (uint8_t)fuzz_shared->peer[peer],
		.device_fd = fuzz_chance(c, 50) ? fuzz_shared->peer_fd[peer]
						: -1
	};
	fuzz_mutate(c, m, sizeof(*m));
	r = t_ioctl(pin.fd, GPUMEM_IOC_DMA_MAP, fuzz_pointer(c, m));
	fuzz_file_result(c, FUZZ_DMA_MAP, pin.fd, r);
	if (r)
		return;
	dma = (struct fuzz_thing){ .fd = pin.fd, .id = m->dma };
	fuzz_put(c, FUZZ_DMAS, &dma);
}

void fuzz_dma_runs(struct fuzz_ctx *c)
{
	struct gpumem_dma_runs *d = (void *)c->buf;
	struct fuzz_thing dma;

	if (!fuzz_pick(c, FUZZ_DMAS, &dma))
		return;
	*d = (struct gpumem_dma_runs){ .size = sizeof(*d),
				       .dma = (uint32_t)dma.id,
				       .first = fuzz_below(c, 4),
				       .count = fuzz_below(c, 100) };
	d->runs = (uintptr_t)fuzz_pointer(c, c->room);
	fuzz_mutate(c, d, offsetof(struct gpumem_dma_runs, runs));
	fuzz_file_result(c, FUZZ_DMA_RUNS, dma.fd,
			 t_ioctl(dma.fd, GPUMEM_IOC_DMA_RUNS,
				 fuzz_pointer(c, d)));
}

void fuzz_dma_unmap(struct fuzz_ctx *c)
{
	struct gpumem_dma_unmap *d = (void *)c->buf;
	struct fuzz_thing dma;

	if (!fuzz_take(c, FUZZ_DMAS, &dma))
		return;
	*d = (struct gpumem_dma_unmap){ .size = sizeof(*d),
					.dma = (uint32_t)dma.id };
	if (fuzz_mutate(c, d, sizeof(*d)))
		fuzz_put(c, FUZZ_DMAS, &dma);
	fuzz_file_result(c, FUZZ_DMA_UNMAP, dma.fd,
			 t_ioctl(dma.fd, GPUMEM_IOC_DMA_UNMAP,
				 fuzz_pointer(c, d)));
}

void fuzz_export(struct fuzz_ctx *c)
{
	static const uint32_t modes[] = { O_RDWR, O_RDONLY, O_WRONLY };
	struct gpumem_export *e = (void *)c->buf;
	struct fuzz_thing pin, buf;
	int r;

	if (!fuzz_pick(c, FUZZ_PINS, &pin))
		return;
	*e = (struct gpumem_export){ .size = sizeof(*e),
				     .pin = (uint32_t)pin.id,
				     .fd = -1 };
	e->flags = (fuzz_chance(c, 80) ? O_RDWR : modes[fuzz_below(c, 3)]) |
		   (fuzz_chance(c, 50) ? O_CLOEXEC : 0);
	fuzz_mutate(c, e, sizeof(*e));
	r = t_ioctl(pin.fd, GPUMEM_IOC_EXPORT, fuzz_pointer(c, e));
	fuzz_file_result(c, FUZZ_EXPORT, pin.fd, r);
	if (r)
		return;
	buf = (struct fuzz_thing){ .fd = e->fd,
				   .foreign = true,
				   .bytes = e->dmabuf_size };
	fuzz_put(c, FUZZ_BUFS, &buf);
}

void fuzz_buf_close(struct fuzz_ctx *c)
{
	struct fuzz_thing buf;

	if (!fuzz_take(c, FUZZ_BUFS, &buf))
		return;
	fuzz_result(c, FUZZ_BUF_CLOSE, close(buf.fd) ? errno : 0);
}

void fuzz_buf_sync(struct fuzz_ctx *c)
{
	struct dma_buf_sync sync = { .flags = fuzz_below(c, 8) };
	struct fuzz_thing buf;

	if (!fuzz_pick(c, FUZZ_BUFS, &buf))
		return;
	fuzz_mutate(c, &sync, sizeof(sync));
	fuzz_result(c, FUZZ_BUF_SYNC,
		    t_ioctl(buf.fd, DMA_BUF_IOCTL_SYNC, &sync));
	lseek(buf.fd, 0, fuzz_chance(c, 50) ? SEEK_END : SEEK_SET);
}

void fuzz_event(struct fuzz_ctx *c)
{
	struct fuzz_thing event = { .fd = -1 };
	uint64_t count;

	if (fuzz_chance(c, 50) && fuzz_pick(c, FUZZ_EVENTS, &event) &&
	    read(event.fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		fuzz_result(c, FUZZ_EVENT, errno);
	event.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fuzz_result(c, FUZZ_EVENT, event.fd < 0 ? errno : 0);
	if (event.fd >= 0)
		fuzz_put(c, FUZZ_EVENTS, &event);
}

/* Any command, known or not, with any bytes. */
void fuzz_raw(struct fuzz_ctx *c)
{
	struct fuzz_thing file;
	unsigned long nr = _IO('g', fuzz_chance(c, 50) ? 0x40 + fuzz_below(c, 9)
				    : fuzz_chance(c, 30) ? 10 + fuzz_below(c, 2)
							 : fuzz_below(c, 256));
	size_t i;

	if (!fuzz_pick(c, FUZZ_FILES, &file) || nr == IOCTL_GPUMEM_STATE)
		return;
	if (fuzz_chance(c, 10))
		nr = t_random(&c->random);
	for (i = 0; i < 256; i++)
		c->buf[i] = (unsigned char)t_random(&c->random);
	if (fuzz_chance(c, 80))
		*(uint32_t *)c->buf = 8 * fuzz_below(c, 16);
	/* What it makes stays until the file is closed. */
	fuzz_result(c, FUZZ_RAW, t_ioctl(file.fd, nr, fuzz_pointer(c, c->buf)));
}
