// SPDX-License-Identifier: MIT
/*
 * Fuzzes libgdrapi on the simulated GPU: sequences of its calls with handles that
 * are alive, dead, of another library, and forged. A model of what is pinned and
 * mapped says what each call must return, and what is in the memory.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <gdrapi.h>
#include <gpumem.h>

#include "../../../abi/cuda.h"
#include "../../../abi/sim.h"
#include "check.h"

#define LIBRARIES 3
#define PINS 6
#define PAGES 6
/* A call may fail as it likes. */
#define ANY (-1)

static struct gpumem *session;
static CUresult (*cuda_alloc)(CUdeviceptr *addr, size_t bytes);
static CUresult (*cuda_free)(CUdeviceptr addr);
static CUresult (*cuda_retain)(CUcontext *context, CUdevice device);
static CUresult (*cuda_use)(CUcontext context);
static int (*sim_info)(struct gpumem_sim_info *info);
static struct gpumem_sim_info before;

/*
 * What is allocated and stays so: four whole pages and, in a fifth one, three
 * small pieces with gaps. The sixth comes and goes.
 */
static struct piece {
	CUdeviceptr addr;
	size_t size;
} pieces[] = {
	{ .size = 4 * GPU_PAGE_SIZE },
	{ .size = 5000 },
	{ .size = 300 },
	{ .size = 20000 },
	{ .size = GPU_PAGE_SIZE },
};
#define PIECES (sizeof(pieces) / sizeof(pieces[0]))
#define LAST (PIECES - 1)
static bool last_is_there = true;

/* The memory's content, by pages from the first piece's on. */
static unsigned char content[PAGES * GPU_PAGE_SIZE];

static gdr_t library[LIBRARIES]; /* NULL: not open */
static gdr_t closed; /* one that was */

static struct pin {
	gdr_mh_t handle;
	unsigned int library;
	bool alive;
	uint64_t addr;
	uint64_t page; /* where the mapping begins */
	size_t room; /* of whole pages */
	char *map; /* NULL: not mapped */
	size_t map_size;
	bool last; /* of the piece that comes and goes */
} pins[PINS];

static const uint8_t *input, *input_end;

static uint8_t take(void)
{
	return input < input_end ? *input++ : 0;
}

static uint32_t take_number(void)
{
	uint32_t low = take();

	low |= (uint32_t)take() << 8;
	return low | (uint32_t)take() << 16;
}

static void expect(int error, int want)
{
	if (want == ANY)
		check(error >= 0 && error < 4096);
	else
		check(error == want);
}

static void symbol(const char *name, void *function)
{
	*(void **)function = gpumem_cuda_symbol(session, name);
	check(*(void **)function);
}

/* A library, now and then one that is not open. */
static gdr_t any_library(unsigned int which)
{
	if (which < LIBRARIES)
		return library[which];
	return which == LIBRARIES ? closed : (gdr_t)(uintptr_t)0x1230;
}

static bool is_open(gdr_t g)
{
	for (unsigned int i = 0; i < LIBRARIES; i++)
		if (g && library[i] == g)
			return true;
	return false;
}

/* A pin, now and then a handle that never was one. */
static struct pin *any_pin(struct pin *forged)
{
	uint8_t which = take();

	if (which % 8 < PINS)
		return &pins[which % 8];
	*forged = (struct pin){ 0 };
	for (unsigned int i = 0; i < sizeof(forged->handle); i++)
		forged->handle.h = forged->handle.h << 8 | take();
	/* Near to one that is. */
	if (which & 8)
		forged->handle.h =
			pins[which % PINS].handle.h + (forged->handle.h & 15);
	for (unsigned int i = 0; i < PINS; i++)
		if (pins[i].handle.h == forged->handle.h)
			return &pins[i];
	return forged;
}

/* What a call gives that is right but for its handles. */
static int handle_error(gdr_t g, const struct pin *pin)
{
	return is_open(g) && pin->alive && library[pin->library] == g ? 0
								      : EINVAL;
}

static gdr_t library_of(const struct pin *pin, uint8_t choice)
{
	return choice < 240 ? library[pin->library]
			    : any_library(choice % (LIBRARIES + 2));
}

static void try_open(void)
{
	unsigned int which = take() % LIBRARIES;

	if (!library[which])
		check((library[which] = gdr_open()));
}

static void library_close(unsigned int which)
{
	expect(gdr_close(library[which]), library[which] ? 0 : EINVAL);
	if (library[which])
		closed = library[which];
	library[which] = NULL;
	for (unsigned int i = 0; i < PINS; i++) {
		if (pins[i].library != which)
			continue;
		pins[i].alive = false;
		pins[i].map = NULL;
	}
}

static void try_close(void)
{
	uint8_t which = take();

	if (which < 224) {
		library_close(which % LIBRARIES);
		return;
	}
	/* One that was closed may be open again. */
	if (!is_open(closed))
		expect(gdr_close(closed), EINVAL);
}

static void try_pin(void)
{
	struct pin *pin = &pins[take() % PINS];
	unsigned int which = take() % PIECES, flags = take();
	const struct piece *piece = &pieces[which];
	uint64_t offset = take_number(), size = take_number();
	gdr_mh_t handle = { 0 };
	uint8_t choice = take();
	int error, want = 0;
	gdr_t g;

	/* What is pinned is not forgotten. */
	if (pin->alive)
		return;
	pin->library = choice % LIBRARIES;
	g = library_of(pin, choice);
	if (choice & 1) {
		offset = offset % 4 * GPU_PAGE_SIZE;
		if (offset >= piece->size)
			offset = 0;
		size = 1 + size % (piece->size - offset);
	}
	flags = flags < 200 ? GDR_PIN_FLAG_DEFAULT : flags % 4;
	if (!is_open(g) || flags > GDR_PIN_FLAG_FORCE_PCIE || !size)
		want = EINVAL;
	else if (offset >= piece->size || size > piece->size - offset ||
		 which == LAST)
		want = ANY;
	error = gdr_pin_buffer_v2(g, piece->addr + offset, size, flags,
				  &handle);
	expect(error, want);
	if (error) {
		check(!handle.h);
		return;
	}
	check(handle.h);
	*pin = (struct pin){
		.handle = handle,
		.alive = true,
		.addr = piece->addr + offset,
		.page = (piece->addr + offset) & GPU_PAGE_MASK,
		.last = which == LAST,
	};
	for (pin->library = 0; library[pin->library] != g; pin->library++)
		;
	pin->room = ((pin->addr + size + GPU_PAGE_OFFSET) & GPU_PAGE_MASK) -
		    pin->page;
}

static void try_unpin(void)
{
	struct pin forged, *pin = any_pin(&forged);
	gdr_t g = library_of(pin, take());
	int want = handle_error(g, pin);

	expect(gdr_unpin_buffer(g, pin->handle), want);
	if (want)
		return;
	pin->alive = false;
	pin->map = NULL;
}

static void try_map(void)
{
	struct pin forged, *pin = any_pin(&forged);
	gdr_t g = library_of(pin, take());
	size_t size = take_number();
	uint8_t flags = take();
	void *at = NULL;
	int error, want = handle_error(g, pin);

	if (flags < 200)
		size = pin->room;
	flags = flags < 220 ? flags % 2 : flags % 8;
	if (!want && pin->map)
		want = EAGAIN;
	else if (!want && flags > GDR_MAP_FLAG_REQ_DEVICE_MAPPING)
		want = EINVAL;
	else if (!want && flags > GDR_MAP_FLAG_REQ_WC_MAPPING)
		want = EOPNOTSUPP;
	else if (!want && (pin->addr != pin->page || !size || size > pin->room))
		want = EINVAL;
	/* The pages of what is at the end may not all be there. */
	if (!want && pin->last)
		want = ANY;
	error = gdr_map_v2(g, pin->handle, &at, size, flags);
	expect(error, want);
	if (error)
		return;
	check(at);
	pin->map = at;
	pin->map_size = (size + 4095) & ~(size_t)4095;
	(void)*(volatile char *)pin->map;
	(void)*(volatile char *)(pin->map + pin->map_size - 1);
}

static void try_unmap(void)
{
	struct pin forged, *pin = any_pin(&forged);
	gdr_t g = library_of(pin, take());
	size_t size = take_number();
	uint8_t how = take();
	void *at = pin->map;
	int want = handle_error(g, pin);

	if (how < 200)
		size = pin->room;
	else if (how < 220)
		at = (void *)(uintptr_t)pin->addr;
	else if (how < 240)
		at = (char *)((uintptr_t)pin->map + 1);
	if (!want && (!pin->map || !size || size > pin->room ||
		      (at != pin->map && (uintptr_t)at != pin->addr)))
		want = EINVAL;
	expect(gdr_unmap(g, pin->handle, at, size), want);
	if (!want)
		pin->map = NULL;
}

static unsigned char *content_of(const struct pin *pin, size_t offset)
{
	return content + (pin->page - pieces[0].addr) + offset;
}

static void try_copy(bool read)
{
	static unsigned char host[2 * GPU_PAGE_SIZE];
	struct pin forged, *pin = any_pin(&forged);
	size_t offset = take_number(), size = take_number() % sizeof(host);
	uint8_t how = take();
	uint32_t flags = how & 1 ? GDR_COPY_FLAG_DEFAULT : take_number();
	uintptr_t at;
	int error, want = EINVAL;

	if (pin->map && how < 240) {
		offset %= pin->map_size;
		if (size > pin->map_size - offset)
			size = pin->map_size - offset;
	}
	at = (uintptr_t)pin->map + offset;
	if (pin->alive && pin->map && offset <= pin->map_size &&
	    size <= pin->map_size - offset)
		want = pin->last ? ANY : 0;
	if (read) {
		memset(host, 0xa5, size);
		error = gdr_copy_from_mapping_v2(pin->handle, host, (void *)at,
						 size, flags);
	} else {
		memset(host, how, size);
		error = gdr_copy_to_mapping_v2(pin->handle, (void *)at, host,
					       size, flags);
	}
	expect(error, want);
	if (error || pin->last)
		return;
	if (read)
		check(!memcmp(host, content_of(pin, offset), size));
	else
		memcpy(content_of(pin, offset), host, size);
}

static void try_info(void)
{
	struct pin forged, *pin = any_pin(&forged);
	gdr_t g = library_of(pin, take());
	int flag = 7, want = handle_error(g, pin);
	gdr_info_v2_t info;

	expect(gdr_get_info_v2(g, pin->handle, &info), want);
	expect(gdr_get_callback_flag(g, pin->handle, &flag), want);
	if (want)
		return;
	check(info.va == pin->page && info.mapped_size == pin->room);
	check(info.mapped == !!pin->map && (flag == 0 || flag == 1));
	check(info.mapping_type ==
	      (pin->map ? GDR_MAPPING_TYPE_WC : GDR_MAPPING_TYPE_NONE));
}

static void try_fence(void)
{
	struct pin forged, *pin = any_pin(&forged);

	expect(gdr_copy_fence(pin->handle, take()),
	       pin->alive && pin->map ? 0 : EINVAL);
}

static void try_attribute(void)
{
	gdr_t g = any_library(take() % (LIBRARIES + 2));
	int value, attribute = take() % 8, want = is_open(g) ? 0 : EINVAL;

	expect(gdr_driver_get_version(g, &value, &value), want);
	if (!attribute || attribute >= GDR_ATTR_MAX)
		want = EINVAL;
	expect(gdr_get_attribute(g, attribute, &value), want);
}

/* Frees the last piece, pinned or not, or has it again, elsewhere or not. */
static void try_free(void)
{
	if (last_is_there)
		check(!cuda_free(pieces[LAST].addr));
	else
		check(!cuda_alloc(&pieces[LAST].addr, pieces[LAST].size));
	last_is_there = !last_is_there;
}

static void step(void)
{
	switch (take() % 16) {
	case 0:
	case 1:
		try_open();
		break;
	case 2:
		try_close();
		break;
	case 3:
	case 4:
	case 5:
		try_pin();
		break;
	case 6:
		try_unpin();
		break;
	case 7:
	case 8:
		try_map();
		break;
	case 9:
		try_unmap();
		break;
	case 10:
	case 11:
		try_copy(true);
		break;
	case 12:
		try_copy(false);
		break;
	case 13:
		try_info();
		break;
	case 14:
		try_fence();
		break;
	default:
		if (take() & 1)
			try_attribute();
		else
			try_free();
	}
}

/* Reads what is in the memory before anything is written. */
static void content_read(void)
{
	gdr_t g = gdr_open();

	check(g);
	for (unsigned int i = 0; i < LAST; i++) {
		uint64_t page = pieces[i].addr & GPU_PAGE_MASK;
		uint64_t end = pieces[i].addr + pieces[i].size;
		size_t size = ((end + GPU_PAGE_OFFSET) & GPU_PAGE_MASK) - page;
		gdr_mh_t handle;
		void *at;

		check(end - pieces[0].addr <= sizeof(content));
		if (pieces[i].addr != page)
			continue;
		check(!gdr_pin_buffer(g, page, pieces[i].size, 0, 0, &handle));
		check(!gdr_map(g, handle, &at, size));
		memcpy(content + (page - pieces[0].addr), at, size);
	}
	check(!gdr_close(g));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	CUcontext context;

	setenv("GPUMEM_BACKEND", "sim", 1);
	setenv("GPUMEM_SIM_DEVICE", "memfd", 1);
	setenv("GPUMEM_SIM_MEMORY_MB", "16", 1);
	/* Its kernel's threads would not end with the input. */
	setenv("GPUMEM_COURIER", "0", 1);
	setenv("GPUMEM_THREADS", "1", 1);
	if (gpumem_open(&options, &session)) {
		fprintf(stderr, "%s\n", gpumem_last_error());
		exit(1);
	}
	symbol("cuMemAlloc_v2", &cuda_alloc);
	symbol("cuMemFree_v2", &cuda_free);
	symbol("cuDevicePrimaryCtxRetain", &cuda_retain);
	symbol("cuCtxSetCurrent", &cuda_use);
	symbol("gpumem_sim_get_info", &sim_info);
	check(!cuda_retain(&context, 0) && !cuda_use(context));
	for (unsigned int i = 0; i < PIECES; i++)
		check(!cuda_alloc(&pieces[i].addr, pieces[i].size));
	check(!(pieces[0].addr & GPU_PAGE_OFFSET));
	content_read();
	check(!sim_info(&before));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gpumem_sim_info after;

	input = data;
	input_end = data + size;
	/* The first one stays open from one input to the next: that takes long. */
	if (!library[0])
		check((library[0] = gdr_open()));
	while (input < input_end)
		step();
	for (unsigned int i = 0; i < PINS; i++) {
		if (pins[i].alive)
			check(!gdr_unpin_buffer(library[pins[i].library],
						pins[i].handle));
		pins[i] = (struct pin){ 0 };
	}
	for (unsigned int i = 1; i < LIBRARIES; i++)
		if (library[i])
			library_close(i);
	if (!last_is_there)
		try_free();
	check(!sim_info(&after));
	check(after.pins == before.pins && after.bar1_free == before.bar1_free);
	return 0;
}
