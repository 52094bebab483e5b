// SPDX-License-Identifier: MIT
/* Pins with options, and dma-bufs, by the library through the kernel module. */
#include "t_lib.h"

#include <poll.h>
#include <sys/eventfd.h>

static bool is_signalled(int event)
{
	struct pollfd p = { .fd = event, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

static int pin_event(struct gpumem *session, uint64_t addr, int event,
		     struct gpumem_buf **buf)
{
	struct gpumem_pin_options options = {
		.size = sizeof(options),
		.flags = GPUMEM_PIN_EVENTFD,
		.event_fd = event,
	};

	return gpumem_pin_with(session, addr, MIB, &options, buf);
}

static unsigned int buf_flags(struct gpumem_buf *buf)
{
	struct gpumem_buf_info info = { .size = sizeof(info) };

	t_lib_ok(gpumem_buf_get(buf, &info), "gpumem_buf_get");
	return info.flags;
}

static void mode_event(void)
{
	struct gpumem *session = t_lib_open("kmod");
	uint64_t addr = t_lib_alloc(2 * MIB), count;
	int event = eventfd(0, EFD_CLOEXEC), kept = dup(event);
	struct gpumem_buf *buf;

	need(event >= 0 && kept >= 0, "eventfd: %s", strerror(errno));
	t_lib_error(pin_event(session, addr, STDIN_FILENO, &buf), EBADF,
		    "no eventfd", "a descriptor that is no eventfd");
	t_lib_error(pin_event(session, addr, 999, &buf), EBADF, "no eventfd",
		    "no descriptor");

	t_lib_ok(pin_event(session, addr, event, &buf), "gpumem_pin_with");
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	check(!is_signalled(event), "unpinning signalled the eventfd");

	/* The pin keeps the eventfd, whoever closes it. */
	t_lib_ok(pin_event(session, addr, event, &buf), "gpumem_pin_with");
	close(event);
	check(!is_signalled(kept), "the eventfd is signalled too early");
	t_lib_free(addr);
	check(is_signalled(kept), "freeing did not signal the eventfd");
	check(read(kept, &count, 8) == 8 && count == 1, "signalled %llu times",
	      (unsigned long long)count);
	check(buf_flags(buf) & GPUMEM_BUF_REVOKED, "the pin is not revoked");
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	close(kept);
	t_lib_close(session);
}

static void mode_persistent(void)
{
	struct gpumem *session = t_lib_open("kmod");
	uint64_t addr = t_lib_alloc(2 * MIB);
	uint8_t want[1000], found[sizeof(want)];
	struct gpumem_buf *buf;
	int r;

	memset(want, 0xc3, sizeof(want));
	buf = t_lib_pin(session, addr + 77, MIB, GPUMEM_PIN_PERSISTENT);
	t_lib_ok(gpumem_write(buf, 5, want, sizeof(want)), "gpumem_write");
	t_lib_free(addr);
	check(!(buf_flags(buf) & GPUMEM_BUF_REVOKED), "the pin is revoked");
	t_lib_ok(gpumem_read(buf, 5, found, sizeof(found)), "gpumem_read");
	check(!memcmp(want, found, sizeof(want)), "other data");
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");

	addr = t_lib_alloc(2 * MIB);
	r = gpumem_pin(session, addr, MIB,
		       GPUMEM_PIN_PERSISTENT | GPUMEM_PIN_FORCE_BAR1, &buf);
	if (r)
		t_lib_error(r, EOPNOTSUPP, "FORCE_BAR1", "forcing BAR1");
	else
		t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	t_lib_free(addr);
	t_lib_close(session);
}

static void mode_export(void)
{
	struct gpumem *session = t_lib_open("kmod");
	uint64_t addr = t_lib_alloc(2 * MIB);
	struct gpumem_buf *buf = t_lib_pin(session, addr + 4097, 70000, 0);
	struct gpumem_buf_info info = { .size = sizeof(info) };
	uint32_t want = 0x0a0b0c0d, found = 0;
	struct gpumem_dmabuf dmabuf = { .size = sizeof(dmabuf) };
	int fd, only;
	size_t size;
	void *at;

	t_lib_error(gpumem_export_dmabuf(buf, 0, NULL), EINVAL,
		    "dmabuf is NULL", "no place for the dma-buf");
	t_lib_error(gpumem_export_dmabuf(buf, 4, &dmabuf), EINVAL, "flags 0x4",
		    "an unknown flag");
	t_lib_ok(gpumem_buf_get(buf, &info), "gpumem_buf_get");
	size = info.page_size * info.page_count;
	t_lib_ok(gpumem_export_dmabuf(buf, GPUMEM_EXPORT_READ_ONLY, &dmabuf),
		 "gpumem_export_dmabuf, to be read");
	only = dmabuf.fd;
	t_lib_ok(gpumem_export_dmabuf(buf, GPUMEM_EXPORT_PCIE, &dmabuf),
		 "gpumem_export_dmabuf");
	fd = dmabuf.fd;
	check(dmabuf.dmabuf_size == size && dmabuf.length == info.length &&
		      dmabuf.offset == info.addr_offset,
	      "a dma-buf of %llu bytes, from %llu on %llu",
	      (unsigned long long)dmabuf.dmabuf_size,
	      (unsigned long long)dmabuf.offset,
	      (unsigned long long)dmabuf.length);
	check(fcntl(fd, F_GETFD) == FD_CLOEXEC, "not close-on-exec");
	check(lseek(fd, 0, SEEK_END) == (off_t)size, "another size: %lld",
	      (long long)lseek(fd, 0, SEEK_END));
	check_result(t_mmap(only, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			    &at),
		     EACCES, "writing to a read-only dma-buf");
	need(!t_map(fd, 0, size, &at), "mmap: %s", strerror(errno));

	t_lib_ok(gpumem_write(buf, 3, &want, sizeof(want)), "gpumem_write");
	memcpy(&found, (char *)at + info.addr_offset + 3, sizeof(found));
	check(found == want, "the dma-buf shows %#x", found);
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	t_signals_catch();
	check(t_load(at, &found) == SIGBUS, "the dma-buf outlived the pin");
	munmap(at, size);

	buf = t_lib_pin(session, addr, MIB, 0);
	t_lib_free(addr);
	close(fd);
	t_lib_error(gpumem_export_dmabuf(buf, 0, &dmabuf), ENODEV, "was freed",
		    "exporting freed memory");
	close(only);
	t_lib_close(session);
}

/* Run by a user who may pin 3 MiB. */
static void mode_quota(void)
{
	struct gpumem *session = t_lib_open("kmod");
	uint64_t addr = t_lib_alloc(8 * MIB);
	struct gpumem_buf *buf = t_lib_pin(session, addr, 2 * MIB, 0), *more;

	t_lib_error(gpumem_pin(session, addr, 2 * MIB, 0, &more), EDQUOT,
		    "user_limit", "pinning past the limit");
	t_lib_ok(gpumem_unpin(buf), "gpumem_unpin");
	t_lib_ok(gpumem_pin(session, addr, 3 * MIB, 0, &more),
		 "pinning as much as the limit");
	t_lib_close(session);
}

static const struct t_mode modes[] = {
	{ "event", mode_event },
	{ "persistent", mode_persistent },
	{ "export", mode_export },
	{ "quota", mode_quota },
};

int main(int argc, char **argv)
{
	int r = t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));

	if (r)
		return r;
	emu_check_nothing_pinned("at the end");
	return t_end();
}
