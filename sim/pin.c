// SPDX-License-Identifier: MIT
/* Pins: pages of device memory kept and shown to the CPU. See abi/sim.h. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "sim.h"

#define PAGE GPUMEM_SIM_PAGE_SIZE

static struct sim_pin *pins;
static uint64_t pin_count;

/* Takes sim.lock for writing on success. */
static int lock_write(void)
{
	int err = sim_ready_errno();

	if (!err)
		pthread_rwlock_wrlock(&sim.lock);
	return err;
}

static struct sim_pin **pin_link(uint64_t id)
{
	struct sim_pin **at;

	for (at = &pins; *at; at = &(*at)->next) {
		if ((*at)->id == id)
			return at;
	}
	return NULL;
}

/* Takes sim.lock for writing on success. */
static int lock_pin(uint64_t id, struct sim_pin **pin)
{
	struct sim_pin **at;
	int err = lock_write();

	if (err)
		return err;
	at = pin_link(id);
	if (!at) {
		sim_unlock();
		return -ENOENT;
	}
	*pin = *at;
	return 0;
}

int gpumem_sim_get_info(struct gpumem_sim_info *info)
{
	struct sim_usage usage = { 0 };
	int err = sim_ready_errno();

	if (err)
		return err;
	if (!info)
		return -EINVAL;
	pthread_rwlock_rdlock(&sim.lock);
	for (int i = 0; i < sim.device_count && !err; i++) {
		struct sim_usage one;

		err = sim.store->usage(sim.gpu[i], &one);
		if (!err) {
			usage.total += one.total;
			usage.used += one.used;
			usage.pinned += one.pinned;
		}
	}
	if (!err)
		*info = (struct gpumem_sim_info){
			.emulated = sim.store->emulated,
			.memory = usage.total,
			.memory_used = usage.used,
			.bar1_size = usage.total,
			.bar1_free = usage.pinned < usage.total
					     ? usage.total - usage.pinned
					     : 0,
			.pins = pin_count,
			.copies = sim_copies(),
			.pageable_copies = sim_pageable_copies(),
			.jobs = sim_courier_jobs(),
			.staged_jobs = sim_courier_staged_jobs(),
			.uninitialised_reads = sim_uninitialised_reads(),
		};
	sim_unlock();
	return err;
}

/* With sim.lock held for writing. */
static int pin_create(struct sim_alloc *alloc, uint64_t addr, uint64_t length,
		      uint64_t *id)
{
	uint64_t first = (addr - alloc->block->addr) / PAGE;
	uint64_t last = (addr + length - 1 - alloc->block->addr) / PAGE;
	struct sim_pin *p;
	int err = -ENOMEM;

	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->gpu = alloc->block->gpu;
	p->count = last - first + 1;
	p->pages = calloc(p->count, sizeof(*p->pages));
	if (!p->pages)
		goto free_pin;
	err = sim.store->pin(alloc->block, first * PAGE, p);
	if (err)
		goto free_pages;
	p->id = ++sim.last_id;
	p->next = pins;
	pins = p;
	pin_count++;
	*id = p->id;
	return 0;

free_pages:
	free(p->pages);
free_pin:
	free(p);
	return err;
}

int gpumem_sim_pin(uint64_t addr, uint64_t length, uint64_t *pin)
{
	struct sim_alloc *alloc;
	int err = lock_write();

	if (err)
		return err;
	alloc = length ? sim_alloc_range(addr, length) : NULL;
	err = pin && alloc ? pin_create(alloc, addr, length, pin) : -EINVAL;
	sim_unlock();
	return err;
}

int gpumem_sim_unpin(uint64_t pin)
{
	struct sim_pin *p;
	int err = lock_pin(pin, &p);

	if (err)
		return err;
	if (p->maps) {
		sim_unlock();
		return -EBUSY;
	}
	*pin_link(pin) = p->next;
	pin_count--;
	sim.store->unpin(p);
	sim_unlock();
	free(p->pages);
	free(p);
	return 0;
}

int gpumem_sim_map(uint64_t pin, void **addr, uint64_t *length)
{
	struct sim_map *map;
	struct sim_pin *p;
	int err = lock_pin(pin, &p);

	if (err)
		return err;
	err = -EINVAL;
	if (!addr || !length)
		goto unlock;
	err = -ENOMEM;
	map = calloc(1, sizeof(*map));
	if (!map)
		goto unlock;
	err = sim.store->map(p, &map->addr);
	if (err) {
		free(map);
		goto unlock;
	}
	map->next = p->maps;
	p->maps = map;
	*addr = map->addr;
	*length = p->count * PAGE;
unlock:
	sim_unlock();
	return err;
}

int gpumem_sim_unmap(uint64_t pin, void *addr, uint64_t length)
{
	struct sim_map *map, **at;
	struct sim_pin *p;
	int err = lock_pin(pin, &p);

	if (err)
		return err;
	for (at = &p->maps; *at && (*at)->addr != addr; at = &(*at)->next)
		;
	map = *at;
	if (!map || length != p->count * PAGE) {
		sim_unlock();
		return -EINVAL;
	}
	*at = map->next;
	munmap(addr, length);
	sim_unlock();
	free(map);
	return 0;
}

int gpumem_sim_pages(uint64_t pin, uint64_t first, uint64_t *pages,
		     size_t count)
{
	struct sim_pin *p;
	int err = lock_pin(pin, &p);

	if (err)
		return err;
	if (!pages || first > p->count || count > p->count - first)
		err = -EINVAL;
	else
		for (size_t i = 0; i < count; i++)
			pages[i] = p->pages[first + i];
	sim_unlock();
	return err;
}
