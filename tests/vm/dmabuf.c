// SPDX-License-Identifier: MIT
/* A pin as a dma-buf: its descriptor, its importers, its CPU mappings. */
#include "t_dmabuf.h"

#include <sys/resource.h>
#include <sys/socket.h>

#define P2P (IMPORTER_DYNAMIC | IMPORTER_PEER2PEER)
#define WORDS (MIB / 4)

struct shared {
	int emu, fd, dmabuf;
	uint64_t addr;
	struct gpumem_pin pin;
};

static struct shared shared_make(uint32_t flags)
{
	struct shared s = { .emu = emu_open(), .fd = gm_open() };

	s.addr = emu_alloc(s.emu, 2 * MIB);
	s.pin = gm_must_pin_flags(s.fd, s.addr, MIB, flags);
	s.dmabuf = gm_must_export(s.fd, &s.pin);
	return s;
}

static void shared_drop(struct shared *s)
{
	close(s->dmabuf);
	close(s->fd);
	emu_check_nothing_pinned("after the last close");
	close(s->emu);
}

static void counter_write(const struct shared *s, uint32_t first)
{
	uint32_t *host = malloc(MIB);

	need(host, "out of memory");
	counter_fill(host, WORDS, first);
	check_result(emu_write(s->emu, s->addr, host, MIB), 0, "writing");
	free(host);
}

/* A stranger, which has the device's descriptor and pin's number. */
static void stranger_run(void *arg)
{
	struct shared *s = arg;
	int fd = gm_open(), dmabuf;

	check_result(gm_export(s->fd, s->pin.pin, O_RDWR, &dmabuf), EPERM,
		     "EXPORT in a child");
	check_result(gm_export(fd, s->pin.pin, O_RDWR, &dmabuf), ENOENT,
		     "EXPORT of another file's pin");
}

static void mode_export(void)
{
	struct shared s = shared_make(0);
	struct gpumem_export e = { .size = sizeof(e), .pin = s.pin.pin };
	struct rlimit limit, none = { 0 };
	int fd;

	check(fcntl(s.dmabuf, F_GETFD) & FD_CLOEXEC, "O_CLOEXEC was lost");
	check((fcntl(s.dmabuf, F_GETFL) & O_ACCMODE) == O_RDWR,
	      "O_RDWR was lost: %#x", fcntl(s.dmabuf, F_GETFL));
	check(lseek(s.dmabuf, 0, SEEK_END) == (off_t)MIB,
	      "the dma-buf has %lld bytes",
	      (long long)lseek(s.dmabuf, 0, SEEK_END));
	check(lseek(s.dmabuf, 0, SEEK_SET) == 0, "lseek to the start");

	check_result(t_ioctl(s.fd, GPUMEM_IOC_EXPORT, &e), 0, "EXPORT");
	check(e.dmabuf_size == MIB, "EXPORT tells %llu bytes",
	      (unsigned long long)e.dmabuf_size);
	check(e.fd != s.dmabuf, "two exports gave one descriptor");
	check(!(fcntl(e.fd, F_GETFD) & FD_CLOEXEC), "O_CLOEXEC unasked for");
	check((fcntl(e.fd, F_GETFL) & O_ACCMODE) == O_RDONLY,
	      "O_RDONLY was lost: %#x", fcntl(e.fd, F_GETFL));
	check_result(t_mmap(e.fd, 0, PAGE, PROT_READ, MAP_SHARED, NULL), 0,
		     "mmap of a read-only dma-buf");
	check_result(t_map(e.fd, 0, PAGE, NULL), EACCES,
		     "a writable mmap of a read-only dma-buf");
	close(e.fd);

	e.flags = O_NONBLOCK;
	check_result(t_ioctl(s.fd, GPUMEM_IOC_EXPORT, &e), EINVAL,
		     "EXPORT with O_NONBLOCK");
	e.flags = O_RDWR;
	e.__reserved = 1;
	check_result(t_ioctl(s.fd, GPUMEM_IOC_EXPORT, &e), EINVAL,
		     "EXPORT with a reserved member set");
	e.__reserved = 0;
	e.size = sizeof(e) - 1;
	check_result(t_ioctl(s.fd, GPUMEM_IOC_EXPORT, &e), EINVAL,
		     "EXPORT with a short structure");
	check_result(gm_export(s.fd, s.pin.pin + 1, O_RDWR, &fd), ENOENT,
		     "EXPORT of an unknown pin");
	t_child("a stranger", stranger_run, &s);

	getrlimit(RLIMIT_NOFILE, &limit);
	none.rlim_max = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &none);
	fd = t_ioctl(s.fd, GPUMEM_IOC_EXPORT,
		     &(struct gpumem_export){ .size = sizeof(e),
					      .pin = s.pin.pin });
	setrlimit(RLIMIT_NOFILE, &limit);
	check_result(fd, EMFILE, "EXPORT without a descriptor left");

	/* The first export and its pin hold one page table each. */
	fd = gm_must_export(s.fd, &s.pin);
	check(emu_counters().pins == 3, "one pin and two exports make %llu",
	      (unsigned long long)emu_counters().pins);
	close(fd);
	check_result(gm_unpin(s.fd, s.pin.pin), 0, "UNPIN");
	check_result(gm_export(s.fd, s.pin.pin, O_RDWR, &fd), ENOENT,
		     "EXPORT after UNPIN");
	close(s.dmabuf);
	emu_check_nothing_pinned("after UNPIN and close");
	s.pin = gm_must_pin(s.fd, s.addr, MIB);
	check_result(emu_free(s.emu, s.addr), 0, "freeing");
	check_result(gm_export(s.fd, s.pin.pin, O_RDWR, &fd), ENODEV,
		     "EXPORT after revocation");
	s.dmabuf = -1;
	shared_drop(&s);
}

static void addresses_check(uint32_t flags, uint32_t pin_flags)
{
	struct importer_run runs[IMPORTER_MANY];
	struct shared s = shared_make(pin_flags);
	uint64_t pages[16], n = 16, offset = 0, left;
	int imp = imp_must_map(s.dmabuf, flags);
	uint32_t value;
	size_t i, count = imp_runs(imp, runs);

	counter_write(&s, 0x0B000000);
	check_result(gm_pages(s.fd, s.pin.pin, 0, pages, &n), 0, "PAGES");
	for (i = 0; i < count; i++) {
		for (left = 0; left < runs[i].length; left += GPU_PAGE) {
			need(offset < MIB, "the runs are longer than the pin");
			check(runs[i].addr + left == pages[offset / GPU_PAGE],
			      "DMA address of %#llx is %#llx, not %#llx",
			      (unsigned long long)offset,
			      (unsigned long long)(runs[i].addr + left),
			      (unsigned long long)pages[offset / GPU_PAGE]);
			offset += GPU_PAGE;
		}
		check(i + 1 == count ||
			      runs[i].addr + runs[i].length != runs[i + 1].addr,
		      "runs %zu and %zu are one", i, i + 1);
	}
	check(offset == MIB, "the runs cover %llu bytes",
	      (unsigned long long)offset);
	for (offset = 0; offset < MIB; offset += GPU_PAGE - 4) {
		check_result(imp_read(imp, offset, &value), 0, "a DMA read");
		check(value == 0x0B000000 + offset / 4,
		      "at %#llx the device reads %#x",
		      (unsigned long long)offset, value);
	}
	check_result(imp_write(imp, MIB - 4, 0xfeedface), 0, "a DMA write");
	check_result(emu_read(s.emu, s.addr + MIB - 4, &value, 4), 0,
		     "reading");
	check(value == 0xfeedface, "CUDA reads %#x", value);
	check_result(imp_unmap(imp), 0, "unmapping");
	check_result(imp_map(imp), 0, "mapping again");
	close(imp);
	shared_drop(&s);
}

static void mode_addresses(void)
{
	addresses_check(P2P, 0);
	addresses_check(P2P, GPUMEM_PIN_PERSISTENT);
}

/* A dynamic importer that cannot be told. */
static void deaf_check(const struct shared *s, const struct shared *p)
{
	int imp = imp_open();

	check_result(imp_attach(imp, s->dmabuf, P2P | IMPORTER_DEAF),
		     EOPNOTSUPP, "attaching what cannot be told");
	check_result(imp_attach(imp, p->dmabuf, P2P | IMPORTER_DEAF), 0,
		     "the same, of a persistent pin");
	check_result(imp_pin(imp), 0, "its pin");
	check_result(imp_map(imp), 0, "its mapping");
	close(imp);
}

/* Who may attach and pin. */
static void mode_importers(void)
{
	struct shared s = shared_make(0),
		      p = shared_make(GPUMEM_PIN_PERSISTENT);
	int imp = imp_open();
	struct importer_state state = imp_state(imp);

	check_result(imp_attach(imp, s.dmabuf, 0), EOPNOTSUPP,
		     "a static importer of a revocable pin");
	check_result(imp_attach(imp, p.dmabuf, 0), EOPNOTSUPP,
		     "the same, of a persistent pin");
	check_result(imp_attach(imp, s.dmabuf, IMPORTER_DYNAMIC), EOPNOTSUPP,
		     "an importer that needs struct pages");
	check_result(imp_attach(imp, p.dmabuf, IMPORTER_DYNAMIC), EOPNOTSUPP,
		     "the same, of a persistent pin");
	check_result(imp_attach(imp, s.dmabuf, P2P), 0, "a dynamic importer");
	/*
	 * Without CONFIG_DMABUF_MOVE_NOTIFY an exporter cannot tell a pin from
	 * a mapping.
	 */
	check_result(imp_pin(imp),
		     state.moves && !state.revocable ? EOPNOTSUPP : 0,
		     "a dynamic importer that pins a revocable pin");
	check_result(imp_map(imp), 0, "its mapping");
	check_result(imp_detach(imp), 0, "detaching while mapped");
	check_result(imp_attach(imp, p.dmabuf, P2P), 0, "attaching");
	check_result(imp_pin(imp), 0, "a dynamic importer that pins");
	check_result(imp_map(imp), 0, "mapping what is pinned");
	check_result(imp_unmap(imp), 0, "unmapping");
	check_result(imp_unpin(imp), 0, "unpinning");
	check_result(imp_detach(imp), 0, "detaching");
	if (state.revocable)
		deaf_check(&s, &p);
	close(imp);
	close(p.dmabuf);
	close(p.fd);
	close(p.emu);
	shared_drop(&s);
}

/* Another process that was sent the dma-buf. */
static void receiver_run(void *arg)
{
	int dmabuf = t_fd_receive(*(int *)arg), imp;
	void *at;

	check(lseek(dmabuf, 0, SEEK_END) == (off_t)MIB, "lseek");
	need(!t_map(dmabuf, 0, MIB, &at), "mmap in another process");
	counter_check(at, WORDS, 0x0C000000, "another process reads");
	counter_fill(at, WORDS, 0x0D000000);
	imp = imp_must_map(dmabuf, P2P);
	close(imp);
	close(dmabuf);
	/* The mapping holds what it needs. */
	counter_check(at, WORDS, 0x0D000000, "after close");
	munmap(at, MIB);
}

static void mode_mmap(void)
{
	struct shared s = shared_make(0);
	uint32_t *host = malloc(MIB);
	struct gpumem_info info;
	int pair[2];
	void *at;
	pid_t pid;

	need(host, "out of memory");
	counter_write(&s, 0x0E000000);
	need(!t_map(s.dmabuf, 0, MIB, &at), "mmap");
	counter_check(at, WORDS, 0x0E000000, "the CPU reads");
	counter_fill(at, WORDS, 0x0F000000);
	check_result(emu_read(s.emu, s.addr, host, MIB), 0, "reading");
	counter_check(host, WORDS, 0x0F000000, "CUDA reads");
	check_result(gm_info(s.fd, s.pin.pin, &info), 0, "INFO");
	check(info.mapped == 1, "INFO counts %u mappings", info.mapped);
	munmap(at, MIB);
	need(!t_map(s.dmabuf, MIB - 2 * PAGE, PAGE, &at), "mmap of a part");
	counter_check(at, PAGE / 4, 0x0F000000 + (MIB - 2 * PAGE) / 4,
		      "a part");
	munmap(at, PAGE);
	check_result(t_map(s.dmabuf, 0, MIB + PAGE, NULL), EINVAL,
		     "mmap past the end");
	check_result(t_map(s.dmabuf, MIB, PAGE, NULL), EINVAL,
		     "mmap at the end");
	check_result(t_mmap(s.dmabuf, 0, PAGE, PROT_READ, MAP_PRIVATE, NULL),
		     EINVAL, "a private mmap");
	check_result(t_mmap(s.dmabuf, 0, PAGE, PROT_READ | PROT_EXEC,
			    MAP_SHARED, NULL),
		     EPERM, "an executable mmap");

	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	counter_write(&s, 0x0C000000);
	pid = t_fork(receiver_run, &pair[1]);
	check_result(t_fd_send(pair[0], s.dmabuf), 0, "sending the dma-buf");
	t_join("the receiver", pid);
	check_result(emu_read(s.emu, s.addr, host, MIB), 0, "reading");
	counter_check(host, WORDS, 0x0D000000, "CUDA reads the receiver's");
	close(pair[0]);
	close(pair[1]);
	free(host);
	shared_drop(&s);
}

enum end { END_FREE, END_UNPIN, END_CLOSE, ENDS };

static const char *const end_names[] = { "freeing", "UNPIN", "close" };

static void end_do(struct shared *s, enum end end)
{
	switch (end) {
	case END_FREE:
		check_result(emu_free(s->emu, s->addr), 0, "freeing");
		break;
	case END_UNPIN:
		check_result(gm_unpin(s->fd, s->pin.pin), 0, "UNPIN");
		break;
	default:
		close(s->fd);
	}
}

/* pins: the importer pins the memory before. */
static void revoke_check(enum end end, uint32_t flags, uint32_t pin_flags,
			 bool pins)
{
	uint64_t free_pages = emu_counters().free_pages;
	struct shared s = shared_make(pin_flags);
	bool lazy = flags & IMPORTER_LAZY;
	int imp = imp_open(), late, fd;
	struct importer_state state;
	uint32_t value;
	void *at, *own = NULL;

	check_result(imp_attach(imp, s.dmabuf, flags), 0, "attaching");
	if (pins)
		check_result(imp_pin(imp), 0, "pinning");
	check_result(imp_map(imp), 0, "mapping");
	counter_write(&s, 0x0A000000);
	need(!t_map(s.dmabuf, 0, MIB, &at), "mmap");
	counter_check(at, WORDS, 0x0A000000, "before");
	if (end != END_CLOSE)
		need(!gm_map(s.fd, &s.pin, &own), "mmap of the device");
	end_do(&s, end);
	state = imp_state(imp);
	check(state.notified == 1, "%s: %u calls of move_notify",
	      end_names[end], state.notified);
	check(state.mapped == lazy, "%s: the importer has%s a mapping",
	      end_names[end], state.mapped ? "" : " not");
	check(t_load(at, NULL) == SIGBUS && t_store(at, 1) == SIGBUS,
	      "%s: no SIGBUS", end_names[end]);
	check_result(t_map(s.dmabuf, 0, MIB, NULL), ENODEV, "mmap after %s",
		     end_names[end]);
	late = imp_open();
	check_result(imp_attach(late, s.dmabuf, P2P), 0, "attaching after %s",
		     end_names[end]);
	check_result(imp_map(late), ENODEV, "mapping after %s", end_names[end]);
	close(late);
	check(lseek(s.dmabuf, 0, SEEK_END) == (off_t)MIB, "lseek after %s",
	      end_names[end]);
	if (lazy) {
		check_result(imp_read(imp, 4096, &value), 0, "a DMA read");
		check(value == 0x0A000000 + 1024,
		      "%s: the memory under an importer's mapping changed: %#x",
		      end_names[end], value);
		check_result(imp_unmap(imp), 0, "unmapping after %s",
			     end_names[end]);
	}
	check_result(imp_map(imp), ENODEV, "mapping again after %s",
		     end_names[end]);
	close(imp);
	munmap(at, MIB);
	if (own)
		munmap(own, MIB);
	close(s.dmabuf);
	if (end == END_CLOSE)
		s.fd = gm_open();
	if (end == END_FREE)
		check_result(gm_export(s.fd, s.pin.pin, O_RDWR, &fd), ENODEV,
			     "EXPORT after freeing");
	close(s.fd);
	close(s.emu);
	emu_check_nothing_pinned(end_names[end]);
	emu_check_free_pages(free_pages, end_names[end]);
}

static void revoke_all(uint32_t flags, bool pins)
{
	enum end end;

	for (end = 0; end < ENDS; end++) {
		revoke_check(end, flags, 0, pins);
		if (end != END_FREE)
			revoke_check(end, flags, GPUMEM_PIN_PERSISTENT, pins);
	}
}

static void mode_revoke(void)
{
	int imp = imp_open();
	bool revocable = imp_state(imp).revocable;

	close(imp);
	revoke_all(P2P, false);
	revoke_all(P2P | IMPORTER_LAZY, false);
	/* Those that pin are told as well. */
	if (revocable) {
		revoke_all(P2P, true);
		revoke_all(P2P | IMPORTER_LAZY, true);
	}
}

/* The importer's device has a DMA mask of 32 bits, and no IOMMU translates. */
static void mode_refused(void)
{
	struct shared s = shared_make(0);
	int imp = imp_open();

	check_result(imp_attach(imp, s.dmabuf, P2P), 0, "attaching");
	check_result(imp_map(imp), EIO, "mapping out of the device's reach");
	check_result(imp_detach(imp), 0, "detaching");
	close(imp);
	shared_drop(&s);
}

static const struct t_mode modes[] = {
	{ "export", mode_export },	 { "addresses", mode_addresses },
	{ "importers", mode_importers }, { "mmap", mode_mmap },
	{ "revoke", mode_revoke },	 { "refused", mode_refused },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
