// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cuda/cuda.h"
#include "base/error.h"

/* CU_STREAM_CAPTURE_MODE_RELAXED */
#define GM_CAPTURE_RELAXED 2

static const char *gm_cuda_path(void)
{
	const char *path = secure_getenv("GPUMEM_LIBCUDA");

	return path && *path ? path : "libcuda.so.1";
}

/*
 * Function pointers are stored through a pointer to void: dlsym() gives no
 * other way.
 */
static void gm_cuda_symbol(void *lib, const char *name, void *function)
{
	*(void **)function = dlsym(lib, name);
}

static void gm_cuda_load_sim(struct gm_cuda *cuda)
{
	struct gm_cuda_sim *sim = &cuda->sim;

	gm_cuda_symbol(cuda->lib, "gpumem_sim_description", &sim->description);
	gm_cuda_symbol(cuda->lib, "gpumem_sim_get_info", &sim->get_info);
	gm_cuda_symbol(cuda->lib, "gpumem_sim_pin", &sim->pin);
	gm_cuda_symbol(cuda->lib, "gpumem_sim_unpin", &sim->unpin);
	gm_cuda_symbol(cuda->lib, "gpumem_sim_map", &sim->map);
	gm_cuda_symbol(cuda->lib, "gpumem_sim_unmap", &sim->unmap);
	gm_cuda_symbol(cuda->lib, "gpumem_sim_pages", &sim->pages);
	cuda->simulated = sim->description && sim->get_info && sim->pin &&
			  sim->unpin && sim->map && sim->unmap && sim->pages;
}

int gm_cuda_load_from(struct gm_cuda *cuda, const char *path, void *lib,
		      const char *fix)
{
	const char *missing = NULL;

	*cuda = (struct gm_cuda){ .lib = lib };
	if (!lib)
		cuda->lib = dlopen(path, RTLD_NOW | RTLD_NODELETE);
	if (!cuda->lib)
		return gm_error(-ELIBACC, "load: %s; %s", dlerror(), fix);
#define GM_CUDA_LOAD(member, name, args) \
	gm_cuda_symbol(cuda->lib, name, &cuda->member);
#define GM_CUDA_CHECK(member, name, args) \
	if (!cuda->member)                \
		missing = name;
	GM_CUDA_REQUIRED(GM_CUDA_LOAD)
	GM_CUDA_OPTIONAL(GM_CUDA_LOAD)
	GM_CUDA_REQUIRED(GM_CUDA_CHECK)
#undef GM_CUDA_LOAD
#undef GM_CUDA_CHECK
	if (missing) {
		gm_cuda_unload(cuda);
		return gm_error(
			-ELIBACC,
			"load: %s has no %s: it is no libcuda, or one that "
			"is too old; %s",
			path, missing, fix);
	}
	gm_cuda_load_sim(cuda);
	gm_debug("loaded %s%s", path, cuda->simulated ? " (simulated)" : "");
	return 0;
}

int gm_cuda_load(struct gm_cuda *cuda)
{
	return gm_cuda_load_from(cuda, gm_cuda_path(), NULL,
				 "install the NVIDIA driver, or name its "
				 "libcuda in GPUMEM_LIBCUDA");
}

int gm_cuda_probe(char *reason, size_t size)
{
	void *lib = dlopen(gm_cuda_path(), RTLD_LAZY | RTLD_NODELETE);

	if (!lib) {
		snprintf(reason, size,
			 "%s cannot be loaded; install the NVIDIA driver's "
			 "CUDA library, or name it in GPUMEM_LIBCUDA",
			 gm_cuda_path());
		return -ELIBACC;
	}
	dlclose(lib);
	return 0;
}

void gm_cuda_unload(struct gm_cuda *cuda)
{
	if (cuda->lib)
		dlclose(cuda->lib);
	cuda->lib = NULL;
}

static int gm_cuda_errno(CUresult result)
{
	switch (result) {
	case CUDA_ERROR_OUT_OF_MEMORY:
		return -ENOMEM;
	case CUDA_ERROR_NO_DEVICE:
	case CUDA_ERROR_DEVICE_UNAVAILABLE:
		return -ENODEV;
	default:
		return -EIO;
	}
}

int gm_cuda_error(const struct gm_cuda *cuda, CUresult result, const char *what,
		  const char *hint)
{
	const char *name = NULL;
	const char *text = NULL;

	cuda->error_name(result, &name);
	cuda->error_string(result, &text);
	return gm_error(gm_cuda_errno(result), "%s: CUDA error %d, %s (%s); %s",
			what, (int)result, name ? name : "unknown",
			text ? text : "no description", hint);
}

unsigned long long gm_cuda_buffer_id(const struct gm_cuda *cuda,
				     CUdeviceptr addr)
{
	unsigned long long id = 0;

	if (cuda->pointer_get(&id, CU_POINTER_ATTRIBUTE_BUFFER_ID, addr))
		return 0;
	return id;
}

int gm_cuda_enter(struct gm_cuda_scope *scope, const struct gm_cuda *cuda,
		  CUcontext context)
{
	CUcontext current = NULL;
	CUresult result = cuda->ctx_current(&current);

	/* To push and pop takes longer than to look. */
	scope->pushed = result || current != context;
	if (scope->pushed)
		result = cuda->ctx_push(context);
	if (result)
		return gm_cuda_error(cuda, result,
				     "make the GPU's context current",
				     "it was destroyed or reset, or this "
				     "process forked after it used CUDA");
	scope->cuda = cuda;
	scope->capture_mode = GM_CAPTURE_RELAXED;
	if (cuda->capture_mode)
		cuda->capture_mode(&scope->capture_mode);
	return 0;
}

void gm_cuda_leave(struct gm_cuda_scope *scope)
{
	CUcontext context;

	if (scope->cuda->capture_mode)
		scope->cuda->capture_mode(&scope->capture_mode);
	if (scope->pushed)
		scope->cuda->ctx_pop(&context);
}
