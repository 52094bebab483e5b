// SPDX-License-Identifier: MIT
/* Through the simulated CUDA: see abi/sim.h. */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/sim.h"
#include "backend/list.h"
#include "base/error.h"

struct gm_sim_pin {
	uint64_t id;
	uint64_t map_length;
};

/* The libcuda.so.1 that this process has loaded, if it is a simulated one. */
static void *gm_sim_loaded(void)
{
	void *lib = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);

	if (lib && !dlsym(lib, "gpumem_sim_pin")) {
		dlclose(lib);
		lib = NULL;
	}
	return lib;
}

/*
 * Where the simulated libcuda is: named by GPUMEM_SIM_LIBCUDA, or in its place
 * beside this library, installed or in the build tree. Beside a program with
 * libgpumem.a in it there is none: there it is where it was installed.
 */
static int gm_sim_path(char *path, size_t size)
{
	static const char *const places[] = {
		"gpumem/sim/libcuda.so.1",
		"../sim/libcuda.so.1",
	};
	const char *named = secure_getenv("GPUMEM_SIM_LIBCUDA");
	const char *end;
	Dl_info self;

	if (named && *named) {
		snprintf(path, size, "%s", named);
		return access(path, R_OK) ? -ENOENT : 0;
	}
	if (!dladdr((void *)&gm_backend_sim, &self) || !self.dli_fname)
		return -ENOENT;
	end = strrchr(self.dli_fname, '/');
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int n = snprintf(path, size, "%.*s%s",
				 end ? (int)(end - self.dli_fname + 1) : 0,
				 self.dli_fname, places[i]);

		if (n > 0 && (size_t)n < size && !access(path, R_OK))
			return 0;
	}
#ifdef GM_SIM_DIR
	snprintf(path, size, "%s", GM_SIM_DIR "/libcuda.so.1");
	if (!access(path, R_OK))
		return 0;
#endif
	return -ENOENT;
}

/*
 * Looks without loading: once loaded, the simulated libcuda would be the one
 * that the program's own search for libcuda.so.1 finds.
 */
static int gm_sim_probe(char *reason, size_t size)
{
	char path[1024];
	void *lib = gm_sim_loaded();

	if (lib) {
		dlclose(lib);
		snprintf(reason, size,
			 "simulated GPU, its libcuda.so.1 is loaded already");
		return 0;
	}
	if (!gm_sim_path(path, sizeof(path))) {
		snprintf(reason, size, "simulated GPU, %.200s", path);
		return 0;
	}
	snprintf(reason, size,
		 "the simulated libcuda.so.1 is not beside libgpumem.so; "
		 "install it, or name it in GPUMEM_SIM_LIBCUDA");
	return -ENODEV;
}

static int gm_sim_load_cuda(struct gm_cuda *cuda)
{
	char path[1024] = "libcuda.so.1";
	void *lib = gm_sim_loaded();
	int rc;

	if (!lib && gm_sim_path(path, sizeof(path)))
		return gm_error(-ELIBACC,
				"open: there is no simulated libcuda.so.1 "
				"beside libgpumem.so; install it, or name it "
				"in GPUMEM_SIM_LIBCUDA");
	rc = gm_cuda_load_from(cuda, path, lib,
			       "name the one that comes with gpumem in "
			       "GPUMEM_SIM_LIBCUDA");
	if (rc)
		return rc;
	if (!cuda->simulated) {
		gm_cuda_unload(cuda);
		return gm_error(-ELIBACC,
				"open: %s is no simulated libcuda; name the "
				"one that comes with gpumem in "
				"GPUMEM_SIM_LIBCUDA",
				path);
	}
	return 0;
}

static int gm_sim_open(struct gm_session *session)
{
	gm_debug("sim: %s", session->cuda.sim.description());
	return 0;
}

static void gm_sim_close(struct gm_session *session)
{
	/* The session keeps nothing beside its libcuda. */
}

static int gm_sim_error(int rc, const char *what, uint64_t addr)
{
	return gm_error(rc, "%s 0x%" PRIx64 ": simulated GPU: %s; %s", what,
			addr, strerror(-rc),
			rc == -ENOMEM ? "unpin or free something"
				      : "check that the memory is live");
}

static int gm_sim_pin(struct gm_buf *buf, const struct gm_range *range,
		      const struct gpumem_pin_options *options)
{
	const struct gm_cuda_sim *sim = &buf->session->cuda.sim;
	struct gpumem_sim_info info = { 0 };
	struct gm_sim_pin *pin;
	int rc;

	rc = gm_backend_check_pin(buf, options);
	if (rc)
		return rc;
	pin = calloc(1, sizeof(*pin));
	if (!pin)
		return gm_error(-ENOMEM, "pin: out of host memory; free some");
	rc = sim->pin(range->addr, range->length, &pin->id);
	if (rc) {
		free(pin);
		return gm_sim_error(rc, "pin", range->addr);
	}
	sim->get_info(&info);
	buf->backend = pin;
	buf->page_size = GPUMEM_SIM_PAGE_SIZE;
	buf->addr_offset = range->addr % GPUMEM_SIM_PAGE_SIZE;
	buf->page_count =
		(buf->addr_offset + range->length - 1) / GPUMEM_SIM_PAGE_SIZE +
		1;
	buf->simulated_pages = !info.emulated;
	return 0;
}

static void gm_sim_unmap(struct gm_buf *buf)
{
	struct gm_sim_pin *pin = buf->backend;

	buf->session->cuda.sim.unmap(pin->id, buf->base, pin->map_length);
	buf->base = NULL;
}

static void gm_sim_drop_buf(struct gm_buf *buf)
{
	free(buf->backend);
}

static void gm_sim_unpin(struct gm_buf *buf)
{
	struct gm_sim_pin *pin = buf->backend;

	if (buf->base)
		gm_sim_unmap(buf);
	buf->session->cuda.sim.unpin(pin->id);
	free(pin);
}

static int gm_sim_map(struct gm_buf *buf)
{
	struct gm_sim_pin *pin = buf->backend;
	void *base;
	int rc;

	rc = buf->session->cuda.sim.map(pin->id, &base, &pin->map_length);
	if (rc)
		return gm_sim_error(rc, "map", buf->addr);
	buf->base = base;
	return 0;
}

static int gm_sim_pages(struct gm_buf *buf, uint64_t first, uint64_t *pages,
			size_t count)
{
	struct gm_sim_pin *pin = buf->backend;
	int rc;

	rc = buf->session->cuda.sim.pages(pin->id, first, pages, count);
	return rc ? gm_sim_error(rc, "pages", buf->addr) : 0;
}

const struct gm_backend_ops gm_backend_sim = {
	.name = "sim",
	.probe = gm_sim_probe,
	.load_cuda = gm_sim_load_cuda,
	.open = gm_sim_open,
	.close = gm_sim_close,
	.drop = gm_sim_close,
	.pin = gm_sim_pin,
	.repin = gm_backend_no_repin,
	.unpin = gm_sim_unpin,
	.drop_buf = gm_sim_drop_buf,
	.map = gm_sim_map,
	.unmap = gm_sim_unmap,
	.alive = gm_backend_no_alive,
	.pages = gm_sim_pages,
	.dma_map = gm_backend_no_dma_map,
	.dma_unmap = gm_backend_no_dma_unmap,
	.dma_runs = gm_backend_no_dma_runs,
	.export_dmabuf = gm_backend_no_export,
	.flush = gm_backend_no_flush,
};
