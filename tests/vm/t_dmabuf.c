// SPDX-License-Identifier: MIT
#include "t_dmabuf.h"

int gm_pin_flags(int fd, uint64_t addr, uint64_t length, uint32_t flags,
		 int event_fd, struct gpumem_pin *pin)
{
	*pin = (struct gpumem_pin){ .size = sizeof(*pin),
				    .flags = flags,
				    .addr = addr,
				    .length = length,
				    .event_fd = event_fd };
	return t_ioctl(fd, GPUMEM_IOC_PIN, pin);
}

struct gpumem_pin gm_must_pin_flags(int fd, uint64_t addr, uint64_t length,
				    uint32_t flags)
{
	struct gpumem_pin pin;
	int r = gm_pin_flags(fd, addr, length, flags, 0, &pin);

	need(!r, "pinning %llu bytes with flags %#x: %s",
	     (unsigned long long)length, flags, strerror(r));
	return pin;
}

int gm_export(int fd, uint32_t pin, uint32_t flags, int *dmabuf)
{
	struct gpumem_export e = {
		.size = sizeof(e), .pin = pin, .flags = flags, .fd = -1
	};
	int r = t_ioctl(fd, GPUMEM_IOC_EXPORT, &e);

	*dmabuf = e.fd;
	return r;
}

int gm_must_export(int fd, const struct gpumem_pin *pin)
{
	int dmabuf, r = gm_export(fd, pin->pin, O_RDWR | O_CLOEXEC, &dmabuf);

	need(!r, "EXPORT: %s", strerror(r));
	return dmabuf;
}

int imp_open(void)
{
	return t_open(IMPORTER_NODE);
}

int imp_attach(int imp, int dmabuf, uint32_t flags)
{
	struct importer_attach a = { .fd = dmabuf, .flags = flags };

	return t_ioctl(imp, IMPORTER_IOC_ATTACH, &a);
}

int imp_map(int imp)
{
	return t_ioctl(imp, IMPORTER_IOC_MAP, NULL);
}

int imp_unmap(int imp)
{
	return t_ioctl(imp, IMPORTER_IOC_UNMAP, NULL);
}

int imp_detach(int imp)
{
	return t_ioctl(imp, IMPORTER_IOC_DETACH, NULL);
}

int imp_pin(int imp)
{
	return t_ioctl(imp, IMPORTER_IOC_PIN, NULL);
}

int imp_unpin(int imp)
{
	return t_ioctl(imp, IMPORTER_IOC_UNPIN, NULL);
}

int imp_fence(int imp)
{
	return t_ioctl(imp, IMPORTER_IOC_FENCE, NULL);
}

int imp_signal(int imp)
{
	return t_ioctl(imp, IMPORTER_IOC_SIGNAL, NULL);
}

int imp_read(int imp, uint64_t offset, uint32_t *value)
{
	struct importer_word w = { .offset = offset };
	int r = t_ioctl(imp, IMPORTER_IOC_READ, &w);

	*value = w.value;
	return r;
}

int imp_write(int imp, uint64_t offset, uint32_t value)
{
	struct importer_word w = { .offset = offset, .value = value };

	return t_ioctl(imp, IMPORTER_IOC_WRITE, &w);
}

int imp_must_map(int dmabuf, uint32_t flags)
{
	int imp = imp_open(), r;

	r = imp_attach(imp, dmabuf, flags);
	need(!r, "attaching with flags %#x: %s", flags, strerror(r));
	r = imp_map(imp);
	need(!r, "mapping with flags %#x: %s", flags, strerror(r));
	return imp;
}

struct importer_state imp_state(int imp)
{
	struct importer_state s;
	int r = t_ioctl(imp, IMPORTER_IOC_STATE, &s);

	need(!r, "the importer's state: %s", strerror(r));
	return s;
}

size_t imp_runs(int imp, struct importer_run runs[IMPORTER_MANY])
{
	struct importer_runs r = { .runs = (uintptr_t)runs,
				   .count = IMPORTER_MANY };
	int rc = t_ioctl(imp, IMPORTER_IOC_RUNS, &r);

	need(!rc && r.count <= IMPORTER_MANY, "the importer's %u runs: %s",
	     r.count, strerror(rc));
	return r.count;
}

struct free_pages {
	uint64_t want, found;
};

static bool free_pages_are(void *pages)
{
	struct free_pages *p = pages;

	p->found = emu_counters().free_pages;
	return p->found == p->want;
}

void emu_check_free_pages(uint64_t want, const char *when)
{
	struct free_pages p = { .want = want };
	/* The last close of a file may still be under way in the kernel. */
	bool ok = t_wait(free_pages_are, &p);

	check(ok, "%s: expected %llu pages free, found %llu", when,
	      (unsigned long long)p.want, (unsigned long long)p.found);
}
