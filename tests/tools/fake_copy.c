// SPDX-License-Identifier: MIT
/*
 * Preloaded before libgpumem: copies that go wrong. A read of 4096 bytes gets
 * its last byte wrong, a write of 2048 bytes writes one more.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include <gpumem.h>

typedef int (*read_call)(struct gpumem_buf *, uint64_t, void *, size_t);
typedef int (*write_call)(struct gpumem_buf *, uint64_t, const void *, size_t);

static void *real(const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	if (!symbol)
		abort();
	return symbol;
}

int gpumem_read(struct gpumem_buf *buf, uint64_t offset, void *dst,
		size_t length)
{
	int error = ((read_call)real("gpumem_read"))(buf, offset, dst, length);

	if (!error && length == 4096)
		((char *)dst)[4095] ^= 1;
	return error;
}

int gpumem_write(struct gpumem_buf *buf, uint64_t offset, const void *src,
		 size_t length)
{
	write_call write = (write_call)real("gpumem_write");
	int error = write(buf, offset, src, length);

	if (!error && length == 2048)
		error = write(buf, offset + length, "\x11", 1);
	return error;
}
