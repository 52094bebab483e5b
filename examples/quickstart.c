/* SPDX-License-Identifier: MIT */
/* cc quickstart.c $(pkg-config --cflags --libs gpumem) && ./a.out */
#include <stdio.h>
#include <string.h>

#include <gpumem.h>

int main(void)
{
	struct gpumem *gpu;
	struct gpumem_buf *buf;
	void *addr;
	char text[6];

	if (gpumem_open(NULL, &gpu) || gpumem_alloc(gpu, 4096, 0, &buf) ||
	    gpumem_map(buf, &addr)) {
		fprintf(stderr, "quickstart: %s\n", gpumem_last_error());
		return 1;
	}
	memcpy(addr, "hello", 6); /* straight into GPU memory */
	if (gpumem_read(buf, 0, text, sizeof(text))) {
		fprintf(stderr, "quickstart: %s\n", gpumem_last_error());
		return 1;
	}
	printf("%s (backend %s)\n", text, gpumem_backend_name(gpu));
	return gpumem_close(gpu) ? 1 : 0; /* unmaps, unpins and frees */
}
