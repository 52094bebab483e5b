// SPDX-License-Identifier: MIT
/*
 * Lets every memory allocation inside every call fail once: the first, the
 * second, and so on, until the call gets through without meeting the failure.
 * The call may then succeed all the same or say ENOMEM, nothing else, and leaves
 * nothing behind that it would not have made. For kernels with
 * CONFIG_FAULT_INJECTION; the case sets failslab and fail_page_alloc up.
 *
 * usage: vm-fail-nth
 */
#include "../vm/t.h"

#include <linux/dma-buf.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#define BYTES (4 * GPU_PAGE)
#define LAST_SITE 500

static int nth_fd = -1;
static int emu = -1;
static int peer = -1;
static unsigned long all_sites, all_errors;

/* What calls work on; one that a call made is ended by its undo. */
static struct {
	int fd, made, event;
	uint64_t addr, block;
	struct gpumem_pin pin;
	uint32_t dma;
	void *handle;
	void *at, *from, *to;
	uint64_t pages[64];
	struct gpumem_dma_run runs[64];
} now;

struct call {
	const char *name;
	void (*before)(void); /* makes what the call needs */
	int (*run)(void); /* 0 or an errno; negative: a signal */
	void (*undo)(void); /* after a success */
	void (*after)(void); /* undoes before() */
	bool allocates; /* a call that does, by its nature */
};

static void nth_set(unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	need(pwrite(nth_fd, text, (size_t)length, 0) == length,
	     "writing fail-nth: %s", strerror(errno));
}

/* True if the failure that was set has come; ends it. */
static bool nth_came(void)
{
	char text[16] = "";

	need(pread(nth_fd, text, sizeof(text) - 1, 0) > 0,
	     "reading fail-nth: %s", strerror(errno));
	nth_set(0);
	return !atoi(text);
}

static int run_open(void)
{
	now.made = open(GPUMEM_DEVICE_NODE, O_RDWR | O_CLOEXEC);
	return now.made < 0 ? errno : 0;
}

static void undo_made(void)
{
	close(now.made);
}

static void before_file(void)
{
	now.fd = gm_open();
	now.addr = now.block;
}

static void after_file(void)
{
	close(now.fd);
}

static int pin_flags(uint32_t flags)
{
	now.pin = (struct gpumem_pin){ .size = sizeof(now.pin),
				       .flags = flags,
				       .addr = now.addr,
				       .length = BYTES,
				       .event_fd = flags & GPUMEM_PIN_EVENTFD
							   ? now.event
							   : 0 };
	return t_ioctl(now.fd, GPUMEM_IOC_PIN, &now.pin);
}

static int run_pin(void)
{
	return pin_flags(0);
}

static int run_pin_persistent(void)
{
	return pin_flags(GPUMEM_PIN_PERSISTENT);
}

static int run_pin_event(void)
{
	return pin_flags(GPUMEM_PIN_EVENTFD);
}

static void undo_pin(void)
{
	check_result(gm_unpin(now.fd, now.pin.pin), 0, "UNPIN");
}

static void before_pin(void)
{
	before_file();
	need(!run_pin(), "PIN: %s", strerror(errno));
}

static void before_persistent(void)
{
	before_file();
	need(!run_pin_persistent(), "PIN: %s", strerror(errno));
}

static int run_unpin(void)
{
	return gm_unpin(now.fd, now.pin.pin);
}

static int run_info(void)
{
	struct gpumem_info info;

	return gm_info(now.fd, now.pin.pin, &info);
}

static int run_pages(void)
{
	uint64_t count = 64;

	return gm_pages(now.fd, now.pin.pin, 0, now.pages, &count);
}

static int run_lock(void)
{
	return seed_lock(now.fd, now.addr, BYTES, &now.handle, NULL);
}

static void undo_lock(void)
{
	check_result(seed_unlock(now.fd, now.handle), 0, "UNLOCK");
}

static void before_lock(void)
{
	before_file();
	need(!run_lock(), "LOCK: %s", strerror(errno));
}

static int run_state(void)
{
	static struct {
		struct gpudma_state_t s;
		uint64_t pages[63];
	} state;

	state.s.handle = now.handle;
	state.s.page_count = 64;
	return t_ioctl(now.fd, IOCTL_GPUMEM_STATE, &state);
}

static int run_unlock(void)
{
	return seed_unlock(now.fd, now.handle);
}

static int run_mmap(void)
{
	return gm_map(now.fd, &now.pin, &now.at);
}

static void undo_mmap(void)
{
	munmap(now.at, BYTES);
}

static void before_mmap(void)
{
	before_pin();
	need(!run_mmap(), "mmap: %s", strerror(errno));
}

/* Far from everything, so that the page tables are still to be made. */
static void before_fault(void)
{
	static char *next = (char *)0x100000000000;

	before_pin();
	now.at = mmap(next, BYTES, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_FIXED_NOREPLACE, now.fd,
		      (off_t)now.pin.mmap_offset);
	need(now.at == next, "mmap: %s", strerror(errno));
	next += 1ull << 39;
}

static void after_mmap(void)
{
	undo_mmap();
	after_file();
}

/* A fault that finds no memory is tried again by the kernel. */
static int run_fault(void)
{
	return -t_store(now.at, 1);
}

static int run_munmap_part(void)
{
	return munmap((char *)now.at + GPU_PAGE, GPU_PAGE) ? errno : 0;
}

static void before_mremap(void)
{
	before_mmap();
	need(!run_fault(), "the mapping cannot be touched");
	now.from = now.at;
	now.to = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	need(now.to != MAP_FAILED, "mmap: %s", strerror(errno));
}

static int run_mremap(void)
{
	void *at = mremap(now.at, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
			  now.to);

	if (at == MAP_FAILED)
		return errno;
	now.at = at;
	return 0;
}

/* Without memory the kernel may move a mapping and leave the old one too. */
static void after_mremap(void)
{
	munmap(now.from, BYTES);
	after_mmap();
}

static int dma_map(int device)
{
	struct gpumem_dma_map m = { .size = sizeof(m),
				    .pin = now.pin.pin,
				    .bus = (uint8_t)(device >> 8),
				    .devfn = (uint8_t)device,
				    .device_fd = -1 };
	int r = t_ioctl(now.fd, GPUMEM_IOC_DMA_MAP, &m);

	now.dma = m.dma;
	return r;
}

static int run_dma_map(void)
{
	return dma_map(peer);
}

static int run_dma_unmap(void)
{
	struct gpumem_dma_unmap u = { .size = sizeof(u), .dma = now.dma };

	return t_ioctl(now.fd, GPUMEM_IOC_DMA_UNMAP, &u);
}

static void undo_dma(void)
{
	check_result(run_dma_unmap(), 0, "DMA_UNMAP");
}

static void before_dma(void)
{
	before_pin();
	need(!run_dma_map(), "DMA_MAP: %s", strerror(errno));
}

static int run_dma_runs(void)
{
	struct gpumem_dma_runs r = { .size = sizeof(r),
				     .dma = now.dma,
				     .count = 64,
				     .runs = (uintptr_t)now.runs };

	return t_ioctl(now.fd, GPUMEM_IOC_DMA_RUNS, &r);
}

static int run_export(void)
{
	struct gpumem_export e = { .size = sizeof(e),
				   .pin = now.pin.pin,
				   .flags = O_RDWR | O_CLOEXEC };
	int r = t_ioctl(now.fd, GPUMEM_IOC_EXPORT, &e);

	now.made = e.fd;
	return r;
}

static void before_export(void)
{
	before_pin();
	need(!run_export(), "EXPORT: %s", strerror(errno));
}

static void after_export(void)
{
	undo_made();
	after_file();
}

static int run_mmap_export(void)
{
	return t_map(now.made, 0, BYTES, &now.at);
}

/* Every way to end things, with all there is to end; none may fail. */
static void before_all(void)
{
	before_dma();
	need(!run_export() && !run_mmap() && !run_fault(), "making: %s",
	     strerror(errno));
}

static void after_all(void)
{
	undo_mmap();
	undo_made();
}

static int run_close(void)
{
	return close(now.fd) ? errno : 0;
}

static void before_revoke(void)
{
	struct gpumem_pin pin;

	before_file();
	now.addr = emu_alloc(emu, BYTES);
	need(!run_pin_event(), "PIN: %s", strerror(errno));
	pin = now.pin;
	need(!run_dma_map() && !run_export() && !gm_map(now.fd, &pin, &now.at),
	     "making: %s", strerror(errno));
}

static int run_revoke(void)
{
	return emu_free(emu, now.addr);
}

static void after_revoke(void)
{
	check(t_load(now.at, NULL) == SIGBUS, "revoked memory is mapped");
	after_all();
	after_file();
}

static int run_proc(void)
{
	char text[4096];
	int fd = open(GPUMEM_PROC_NODE, O_RDONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return errno;
	if (read(fd, text, sizeof(text)) < 0)
		r = errno;
	close(fd);
	return r;
}

static const struct call calls[] = {
	{ "open", NULL, run_open, undo_made, NULL, true },
	{ "close", before_all, run_close, NULL, after_all, false },
	{ "PIN", before_file, run_pin, undo_pin, after_file, true },
	{ "PIN, the first of a file", before_file, run_pin, NULL, after_file,
	  true },
	{ "PIN, persistent", before_file, run_pin_persistent, undo_pin,
	  after_file, true },
	{ "PIN, with an eventfd", before_file, run_pin_event, undo_pin,
	  after_file, true },
	{ "UNPIN", before_pin, run_unpin, NULL, after_file, false },
	{ "UNPIN, persistent", before_persistent, run_unpin, NULL, after_file,
	  false },
	{ "INFO", before_pin, run_info, NULL, after_file, false },
	{ "PAGES", before_pin, run_pages, NULL, after_file, false },
	{ "LOCK", before_file, run_lock, undo_lock, after_file, true },
	{ "STATE", before_lock, run_state, NULL, after_file, false },
	{ "UNLOCK", before_lock, run_unlock, NULL, after_file, false },
	{ "mmap", before_pin, run_mmap, undo_mmap, after_file, true },
	{ "a page fault", before_fault, run_fault, NULL, after_mmap, true },
	{ "munmap of a part", before_mmap, run_munmap_part, NULL, after_mmap,
	  true },
	{ "mremap", before_mremap, run_mremap, NULL, after_mremap, true },
	{ "DMA_MAP", before_pin, run_dma_map, undo_dma, after_file, true },
	{ "DMA_MAP, persistent", before_persistent, run_dma_map, undo_dma,
	  after_file, true },
	{ "DMA_RUNS", before_dma, run_dma_runs, NULL, after_file, false },
	{ "DMA_UNMAP", before_dma, run_dma_unmap, NULL, after_file, false },
	{ "EXPORT", before_pin, run_export, undo_made, after_file, true },
	{ "mmap of a dma-buf", before_export, run_mmap_export, undo_mmap,
	  after_export, true },
	{ "a revocation", before_revoke, run_revoke, NULL, after_revoke,
	  false },
	{ "reading /proc/gpumem", before_pin, run_proc, NULL, after_file,
	  true },
};

/* One allocation of one call; false when the call has no such one. */
static bool call_fail(const struct call *call, unsigned int n,
		      unsigned long *errors)
{
	struct gpumem_emu_counters before, after;
	bool came;
	int r;

	if (call->before)
		call->before();
	before = emu_counters();
	nth_set(n);
	r = call->run();
	came = nth_came();
	after = emu_counters();
	if (!came) {
		check_result(r, 0, "%s without a failure", call->name);
	} else if (r) {
		++*errors;
		check_result(r, ENOMEM, "%s, allocation %u failed", call->name,
			     n);
		check(before.pins == after.pins &&
			      before.pinned_pages == after.pinned_pages &&
			      before.dma_maps == after.dma_maps,
		      "%s, allocation %u failed: %llu pins became %llu, %llu DMA mappings %llu",
		      call->name, n, (unsigned long long)before.pins,
		      (unsigned long long)after.pins,
		      (unsigned long long)before.dma_maps,
		      (unsigned long long)after.dma_maps);
	}
	/* What failed must work now, with all that it was given. */
	if (r)
		check_result(call->run(), 0, "%s after allocation %u failed",
			     call->name, n);
	if (call->undo)
		call->undo();
	if (call->after)
		call->after();
	return came;
}

static void call_fail_all(const struct call *call)
{
	unsigned long errors = 0;
	unsigned int n;

	for (n = 1; call_fail(call, n, &errors) && n < LAST_SITE; n++)
		;
	check(n < LAST_SITE, "%s never gets through", call->name);
	printf("%s: %u allocations failed, %lu times the call said so\n",
	       call->name, n - 1, errors);
	check(!call->allocates || n > 1,
	      "%s: no allocation failed, and it needs some", call->name);
	all_sites += n - 1;
	all_errors += errors;
	emu_check_nothing_pinned(call->name);
}

int main(void)
{
	struct gpumem_emu_counters before = emu_counters(), after;
	char path[64];
	size_t i;

	snprintf(path, sizeof(path), "/proc/self/task/%ld/fail-nth",
		 syscall(SYS_gettid));
	nth_fd = open(path, O_RDWR | O_CLOEXEC);
	need(nth_fd >= 0, "open %s: %s: needs CONFIG_FAULT_INJECTION", path,
	     strerror(errno));
	t_signals_catch();
	emu = emu_open();
	now.block = emu_alloc(emu, BYTES);
	now.event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	need(now.event >= 0, "eventfd: %s", strerror(errno));
	before_pin();
	for (i = 0; i < 0x10000 && peer < 0; i++)
		if (!dma_map((int)i))
			peer = (int)i;
	after_file();
	need(peer >= 0, "no PCI device can be mapped for");

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		call_fail_all(&calls[i]);
	close(emu);
	emu_check_nothing_pinned("in the end");
	after = emu_counters();
	check(after.violations == before.violations && !after.blocks,
	      "%llu breaches of the driver's contract, %llu blocks left",
	      (unsigned long long)(after.violations - before.violations),
	      (unsigned long long)after.blocks);
	printf("%lu allocations failed, %lu of them made the call fail\n",
	       all_sites, all_errors);
	return t_end();
}
