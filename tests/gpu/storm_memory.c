// SPDX-License-Identifier: MIT
#include <string.h>

#include "storm.h"

#define OFFSET_MAX (3ull << 20)
/* GPU work of two contexts takes turns, which is slow. */
#define CONTEXT_MAX 65536ull

const char *const storm_kind_names[STORM_KINDS] = {
	[STORM_ALLOC] = "cuMemAlloc",
	[STORM_OFFSET] = "cuMemAlloc at an offset",
	[STORM_CONTEXT] = "cuMemAlloc, other context",
	[STORM_VMM] = "cuMemCreate",
	[STORM_SPAN] = "cuMemCreate, several",
	[STORM_OWN] = "gpumem_alloc",
};

/* Out of 100. */
static const unsigned int weights[STORM_KINDS] = {
	[STORM_ALLOC] = 20, [STORM_OFFSET] = 24, [STORM_CONTEXT] = 1,
	[STORM_VMM] = 17,   [STORM_SPAN] = 17,	 [STORM_OWN] = 21,
};

static struct {
	int (*context_create)(void **context, unsigned int flags, int device);
	int (*context_destroy)(void *context);
	void *context; /* the other one; NULL: there is none */
	uint64_t unit; /* of cuMemCreate; 0: there is none */
} own;

static void find(const char *name, void *function)
{
	void *found = gpu_symbol(name);

	memcpy(function, &found, sizeof(found));
}

enum outcome storm_memory_open(void)
{
	find("cuCtxCreate_v2", &own.context_create);
	find("cuCtxDestroy_v2", &own.context_destroy);
	if (own.context_create && own.context_destroy) {
		CHECK_CUDA(
			own.context_create(&own.context, 0, gpu.cuda.device));
		CHECK_CUDA(gpu.cuda.context_set_current(gpu.cuda.context));
	}
	/* The kmod backend pins what one allocation holds. */
	if (!vmm_open(gpu.session))
		own.unit = vmm_granularity(gpu.device.ordinal);
	return PASSED;
}

void storm_memory_close(void)
{
	if (own.context)
		own.context_destroy(own.context);
	own.context = NULL;
	gpu.cuda.context_set_current(gpu.cuda.context);
}

bool storm_kind_is_here(enum storm_kind kind)
{
	switch (kind) {
	case STORM_CONTEXT:
		return own.context;
	case STORM_VMM:
		return own.unit;
	case STORM_SPAN:
		/* The others pin within one allocation. */
		return own.unit && (!strcmp(gpu.backend, "rm") ||
				    !strcmp(gpu.backend, "dmabuf"));
	default:
		return true;
	}
}

static enum storm_kind choose_kind(uint64_t *random)
{
	unsigned int left = random_next(random) % 100;
	unsigned int kind = 0;

	while (left >= weights[kind])
		left -= weights[kind++];
	return storm_kind_is_here(kind) ? kind : STORM_OFFSET;
}

/* Each power of two is as likely as any other. */
static uint64_t choose_length(uint64_t max, uint64_t *random)
{
	unsigned int bits = 0;
	uint64_t low, length;

	while (bits < 63 && 2ull << bits <= max)
		bits++;
	low = 1ull << random_next(random) % (bits ? bits : 1);
	length = low + random_next(random) % (low + 1);
	return length < max ? length : max;
}

void storm_memory_choose(struct storm_memory *memory, uint64_t max,
			 uint64_t *random)
{
	*memory = (struct storm_memory){ .kind = choose_kind(random) };
	if (memory->kind == STORM_CONTEXT && max > CONTEXT_MAX)
		max = CONTEXT_MAX;
	memory->length = choose_length(max, random);
}

static enum outcome alloc_cuda(struct storm_memory *memory, uint64_t *random)
{
	uint64_t offset = 0, room = 0;

	if (memory->kind == STORM_OFFSET) {
		offset = random_next(random) % OFFSET_MAX;
		room = random_next(random) % 4096;
	}
	CHECK_PASSED(storm_memory_enter(memory));
	CHECK_CUDA(gpu.cuda.mem_alloc(&memory->base,
				      offset + memory->length + room));
	memory->addr = memory->base + offset;
	return PASSED;
}

static enum outcome alloc_vmm(struct storm_memory *memory, uint64_t *random)
{
	uint64_t room = random_next(random) % own.unit;

	memory->vmm.count = 1;
	memory->vmm.block[0].size = memory->length + room;
	memory->vmm.block[0].device = gpu.device.ordinal;
	CHECK_CUDA(vmm_alloc(&memory->vmm, VMM_FD));
	room = memory->vmm.size - memory->length;
	memory->addr = memory->vmm.addr + random_next(random) % (room + 1);
	return PASSED;
}

/* Two to four allocations, and a range over a place where two of them meet. */
static enum outcome alloc_span(struct storm_memory *memory, uint64_t *random)
{
	unsigned int count = 2 + random_next(random) % (VMM_BLOCKS - 1);
	uint64_t before, meet = 0, room;

	for (unsigned int i = 0; i < count; i++) {
		memory->vmm.block[i].size = memory->length / count + 1 +
					    random_next(random) % 3 * own.unit;
		memory->vmm.block[i].device = gpu.device.ordinal;
	}
	memory->vmm.count = count;
	CHECK_CUDA(vmm_alloc(&memory->vmm, VMM_FD));
	for (unsigned int i = 0, n = 1 + random_next(random) % (count - 1);
	     i < n; i++)
		meet += memory->vmm.block[i].size;
	before = memory->length < meet ? memory->length : meet;
	room = memory->vmm.size - memory->length;
	before = meet - (1 + random_next(random) % before);
	memory->addr = memory->vmm.addr + (before < room ? before : room);
	return PASSED;
}

enum outcome storm_memory_alloc(struct storm_memory *memory, uint64_t *random)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };

	if (memory->kind == STORM_OWN) {
		CHECK_OK(gpumem_alloc(gpu.session, memory->length, 0,
				      &memory->buf));
		CHECK_OK(gpumem_buf_get(memory->buf, &info));
		memory->addr = info.addr;
		return PASSED;
	}
	if (memory->kind == STORM_VMM)
		CHECK_PASSED(alloc_vmm(memory, random));
	else if (memory->kind == STORM_SPAN)
		CHECK_PASSED(alloc_span(memory, random));
	else
		CHECK_PASSED(alloc_cuda(memory, random));
	CHECK_OK(gpumem_pin(gpu.session, memory->addr, memory->length, 0,
			    &memory->buf));
	return PASSED;
}

static enum outcome free_cuda(struct storm_memory *memory)
{
	uint64_t base = memory->base;

	memory->base = 0;
	if (base) {
		CHECK_PASSED(storm_memory_enter(memory));
		CHECK_CUDA(gpu.cuda.mem_free(base));
	}
	if (memory->vmm.count)
		CHECK_CUDA(vmm_free(&memory->vmm));
	return PASSED;
}

enum outcome storm_memory_free(struct storm_memory *memory, uint64_t *random)
{
	struct gpumem_buf *buf = memory->buf;
	enum outcome outcome = PASSED;
	int error = 0;

	if (random_next(random) % 2)
		outcome = free_cuda(memory);
	memory->buf = NULL;
	if (buf)
		error = gpumem_unpin(buf);
	if (outcome == PASSED)
		outcome = free_cuda(memory);
	CHECK_OK(error);
	return outcome;
}

enum outcome storm_memory_enter(const struct storm_memory *memory)
{
	void *context = memory->kind == STORM_CONTEXT ? own.context
						      : gpu.cuda.context;

	CHECK_CUDA(gpu.cuda.context_set_current(context));
	return PASSED;
}
