// SPDX-License-Identifier: MIT
/*
 * The tracepoints: one of everything, then the lines that it must have left.
 *
 * usage: vm-trace DOMAIN:BUS:SLOT.FUNCTION; the peer for the DMA mapping
 */
#include "t_dmabuf.h"

#include <stdarg.h>

#define TRACING "/sys/kernel/tracing/"

static void tracing_write(const char *name, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), TRACING "%s", name);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	need(fd >= 0, "open %s: %s", path, strerror(errno));
	need(write(fd, text, strlen(text)) == (ssize_t)strlen(text),
	     "writing %s: %s", path, strerror(errno));
	close(fd);
}

/* How many lines of the trace end in this. */
static int lines_count(const char *text)
{
	FILE *f = fopen(TRACING "trace", "r");
	char line[512];
	int n = 0;

	need(f, "open " TRACING "trace: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, text);

		if (at && !strcmp(at + strlen(text), "\n"))
			n++;
	}
	fclose(f);
	return n;
}

__attribute__((format(printf, 2, 3))) static void
line_check(int want, const char *format, ...)
{
	char text[256];
	va_list args;
	int found;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	found = lines_count(text);
	check(found == want, "\"%s\" is in the trace %d times, not %d", text,
	      found, want);
}

static void trace_show(void)
{
	FILE *f = fopen(TRACING "trace", "r");
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (*line != '#')
			fputs(line, stdout);
	if (f)
		fclose(f);
}

static struct gpumem_dma_map peer_map(int fd, uint32_t pin, const char *peer)
{
	struct gpumem_dma_map m = { .size = sizeof(m),
				    .pin = pin,
				    .device_fd = -1 };
	unsigned int domain, bus, slot, function;
	int r;

	need(sscanf(peer, "%x:%x:%x.%x", &domain, &bus, &slot, &function) == 4,
	     "%s is no PCI address", peer);
	m.domain = domain;
	m.bus = (uint8_t)bus;
	m.devfn = (uint8_t)(slot << 3 | function);
	r = t_ioctl(fd, GPUMEM_IOC_DMA_MAP, &m);
	need(!r, "DMA_MAP: %s", strerror(r));
	return m;
}

int main(int argc, char **argv)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, 2 * MIB), half = addr + MIB;
	struct gpumem_pin first, second, third;
	struct gpumem_dma_map dma;
	void *at;

	need(argc > 1, "usage: vm-trace PEER");
	tracing_write("trace", "");
	tracing_write("events/gpumem/enable", "1");
	first = gm_must_pin(fd, addr + 5, 250000);
	second = gm_must_pin_flags(fd, half, MIB, GPUMEM_PIN_PERSISTENT);
	check_result(gm_pin(fd, NOWHERE, MIB, &third), EINVAL,
		     "PIN of nothing");
	need(!t_map(fd, first.mmap_offset + PAGE, 2 * PAGE, &at), "mmap");
	dma = peer_map(fd, first.pin, argv[1]);
	check_result(emu_free(emu, addr), 0, "freeing");
	check_result(gm_unpin(fd, second.pin), 0, "UNPIN");
	tracing_write("events/gpumem/enable", "0");
	trace_show();

	line_check(
		1,
		"gpumem_pin: addr=%#llx length=250000 pages=4 flags=0x0 rc=0",
		(unsigned long long)addr + 5);
	line_check(1,
		   "gpumem_pin: addr=%#llx length=1048576 pages=16 flags=0x1 "
		   "rc=0",
		   (unsigned long long)half);
	line_check(1,
		   "gpumem_pin: addr=%#llx length=1048576 pages=0 flags=0x0 "
		   "rc=-22",
		   NOWHERE);
	line_check(1, "gpumem_map: pin=%u offset=%llu length=%llu", first.pin,
		   (unsigned long long)PAGE, (unsigned long long)(2 * PAGE));
	line_check(1, "gpumem_dma_map: pin=%u peer=%s runs=%llu", first.pin,
		   argv[1], (unsigned long long)dma.run_count);
	line_check(1, "gpumem_dma_unmap: pin=%u peer=%s runs=%llu", first.pin,
		   argv[1], (unsigned long long)dma.run_count);
	line_check(1,
		   "gpumem_revoke: pin=%u addr=%#llx length=250000 mappings=1",
		   first.pin, (unsigned long long)addr + 5);
	line_check(1,
		   "gpumem_unpin: pin=%u addr=%#llx length=1048576 mappings=0",
		   second.pin, (unsigned long long)half);
	/* Off is off. */
	check_result(gm_unpin(fd, first.pin), 0, "UNPIN");
	line_check(0,
		   "gpumem_unpin: pin=%u addr=%#llx length=250000 mappings=1",
		   first.pin, (unsigned long long)addr + 5);
	munmap(at, 2 * PAGE);
	close(fd);
	close(emu);
	return t_end();
}
