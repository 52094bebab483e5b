// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backend.h"
#include "error.h"
#include "handle.h"

#define GM_STRING_(x) #x
#define GM_STRING(x) GM_STRING_(x)

static struct gm_session *gm_session_new(const struct gm_backend_ops *ops,
					 int ordinal)
{
	struct gm_session *session = calloc(1, sizeof(*session));

	if (!session) {
		gm_error(-ENOMEM, "open: out of host memory; free some");
		return NULL;
	}
	session->ops = ops;
	session->ordinal = ordinal;
	atomic_init(&session->refs, 1);
	pthread_mutex_init(&session->lock, NULL);
	pthread_cond_init(&session->removed, NULL);
	return session;
}

void gm_session_unref(struct gm_session *session)
{
	if (atomic_fetch_sub(&session->refs, 1) != 1)
		return;
	pthread_cond_destroy(&session->removed);
	pthread_mutex_destroy(&session->lock);
	free(session);
}

int gm_session_get(struct gpumem *handle, const char *call,
		   struct gm_session **session)
{
	void *object;
	int rc = gm_handle_get(GM_KIND_SESSION, handle, call, &object);

	if (!rc)
		*session = object;
	return rc;
}

static int gm_session_start_cuda(struct gm_session *session)
{
	struct gm_cuda *cuda = &session->cuda;
	CUresult result;
	int count;

	result = cuda->init(0);
	if (result == CUDA_ERROR_NO_DEVICE)
		return gm_error(-ENODEV,
				"open: CUDA sees no GPU; check nvidia-smi and "
				"CUDA_VISIBLE_DEVICES");
	if (!result)
		result = cuda->device_count(&count);
	if (result)
		return gm_cuda_error(cuda, result, "open: start CUDA",
				     "check that the driver is loaded and as "
				     "new as libcuda, and that CUDA was not "
				     "used before a fork()");
	if (session->ordinal < 0 || session->ordinal >= count)
		return gm_error(-ENOENT,
				"open: there is no GPU %d: CUDA sees %d; use "
				"an ordinal from 0 to %d",
				session->ordinal, count, count - 1);
	result = cuda->device(&session->device, session->ordinal);
	if (!result)
		result = cuda->primary_retain(&session->context,
					      session->device);
	if (result)
		return gm_cuda_error(cuda, result,
				     "open: retain the GPU's primary context",
				     "check its compute mode, and that its "
				     "memory is not full");
	gm_device_pci(cuda, session->device, session->pci,
		      sizeof(session->pci));
	return 0;
}

/* Opens a GPU through one backend that probe found usable. */
static int gm_session_open_with(const struct gm_backend_ops *ops, int ordinal,
				struct gpumem **handle)
{
	struct gm_session *session = gm_session_new(ops, ordinal);
	int rc;

	if (!session)
		return -ENOMEM;
	rc = ops->load_cuda(&session->cuda);
	if (rc)
		goto free_session;
	rc = gm_session_start_cuda(session);
	if (rc)
		goto unload;
	rc = ops->open(session);
	if (rc)
		goto release;
	session->handle = gm_handle_new(GM_KIND_SESSION, session);
	if (!session->handle) {
		rc = gm_error(-ENOMEM, "open: out of host memory; free some");
		goto close_backend;
	}
	gm_debug("open: GPU %d (%s) through %s", ordinal,
		 *session->pci ? session->pci : "no PCI address", ops->name);
	*handle = session->handle;
	return 0;

close_backend:
	ops->close(session);
release:
	session->cuda.primary_release(session->device);
unload:
	gm_cuda_unload(&session->cuda);
free_session:
	gm_session_unref(session);
	return rc;
}

/* How an unusable backend is reported by gpumem_open(). */
static int gm_open_errno(int status)
{
	return status == -EACCES || status == -ELIBACC ? status : -ENODEV;
}

static int gm_open_forced(const char *name, int ordinal,
			  struct gpumem **session)
{
	const struct gm_backend_ops *ops;
	char reason[232];
	int rc;

	rc = gm_backend_find(name, &ops);
	if (rc)
		return rc;
	rc = ops->probe(reason, sizeof(reason));
	if (rc)
		return gm_error(gm_open_errno(rc),
				"open: backend %s is not usable: %s", ops->name,
				reason);
	return gm_session_open_with(ops, ordinal, session);
}

/* Whether the backend may be chosen without being asked for. */
static int gm_open_may_choose(const struct gm_backend_ops *ops, char *reason,
			      size_t size)
{
	if (ops == &gm_backend_sim && !gm_backend_no_gpu()) {
		snprintf(reason, size,
			 "this machine has an NVIDIA GPU; ask for the "
			 "simulated one with GPUMEM_BACKEND=sim");
		return -ENODEV;
	}
	return ops->probe(reason, size);
}

static void gm_open_say_simulated(void)
{
	const char *quiet = secure_getenv("GPUMEM_QUIET");
	static atomic_flag said = ATOMIC_FLAG_INIT;

	if ((quiet && !strcmp(quiet, "1")) || atomic_flag_test_and_set(&said))
		return;
	fprintf(stderr, "gpumem: no NVIDIA GPU here: using the simulated "
			"GPU\n");
}

static int gm_open_first(int ordinal, struct gpumem **session)
{
	const struct gm_backend_ops *ops;
	char reasons[900] = "";
	int worst = -ENODEV;
	size_t used = 0;

	for (unsigned int i = 0; (ops = gm_backend_at(i)); i++) {
		char reason[232];
		int rc;

		rc = gm_open_may_choose(ops, reason, sizeof(reason));
		if (!rc) {
			rc = gm_session_open_with(ops, ordinal, session);
			if (!rc && ops == &gm_backend_sim)
				gm_open_say_simulated();
			if (!rc || rc == -ENOENT || rc == -ENOMEM)
				return rc;
			snprintf(reason, sizeof(reason), "%.220s",
				 gm_error_text());
		}
		gm_debug("open: %s passed over: %s", ops->name, reason);
		if (worst == -ENODEV && rc != -EOPNOTSUPP)
			worst = rc;
		used += snprintf(reasons + used, sizeof(reasons) - used,
				 "%s%s: %s", used ? " | " : "", ops->name,
				 reason);
	}
	return gm_error(worst, "open: no backend works here: %s", reasons);
}

static int gm_options_check(const struct gpumem_options *options)
{
	if (!options)
		return 0;
	if (options->size != sizeof(*options))
		return gm_error(-EINVAL,
				"open: options->size is %zu: this library "
				"knows %zu; set it to sizeof(struct "
				"gpumem_options)",
				options->size, sizeof(*options));
	if (options->flags)
		return gm_error(-EINVAL,
				"open: options->flags is 0x%x: no flag is "
				"known; set it to 0",
				options->flags);
	return 0;
}

int gpumem_open(const struct gpumem_options *options, struct gpumem **session)
{
	const char *name = NULL;
	int ordinal = 0;
	int rc;

	if (!session)
		return gm_error(-EINVAL,
				"open: session is NULL; pass where the handle "
				"goes");
	rc = gm_options_check(options);
	if (rc)
		return rc;
	if (options) {
		name = options->backend;
		ordinal = options->device;
	}
	if (!name)
		name = gm_backend_forced();
	if (name)
		return gm_open_forced(name, ordinal, session);
	return gm_open_first(ordinal, session);
}

/* Unpins every buffer, and waits for those that other threads are unpinning. */
static void gm_session_empty(struct gm_session *session)
{
	pthread_mutex_lock(&session->lock);
	while (session->buffers) {
		struct gpumem_buf *handle = session->buffers->handle;
		void *buf;
		int rc;

		pthread_mutex_unlock(&session->lock);
		rc = gm_handle_kill(GM_KIND_BUFFER, handle, NULL, &buf);
		if (!rc)
			gm_buf_destroy(buf);
		pthread_mutex_lock(&session->lock);
		if (rc && session->buffers &&
		    session->buffers->handle == handle)
			pthread_cond_wait(&session->removed, &session->lock);
	}
	pthread_mutex_unlock(&session->lock);
}

static int gm_buf_is_of(void *object, void *session)
{
	struct gm_buf *buf = object;

	return buf->session == session;
}

/* The part of close that a forked child may do. */
static int gm_session_drop(struct gpumem *handle)
{
	struct gm_session *session;
	struct gpumem_buf *found;
	void *object;
	int rc;

	rc = gm_handle_drop(GM_KIND_SESSION, handle, "close", &object);
	if (rc)
		return rc;
	session = object;
	while ((found = gm_handle_find(GM_KIND_BUFFER, gm_buf_is_of,
				       session))) {
		if (!gm_handle_drop(GM_KIND_BUFFER, found, "close", &object))
			gm_buf_drop(object);
	}
	session->ops->drop(session);
	free(session);
	return 0;
}

int gpumem_close(struct gpumem *handle)
{
	struct gm_session *session;
	void *object;
	int rc;

	rc = gm_handle_kill(GM_KIND_SESSION, handle, "close", &object);
	if (rc == -EPERM)
		return gm_session_drop(handle);
	if (rc)
		return rc;
	session = object;
	gm_session_empty(session);
	session->ops->close(session);
	session->cuda.primary_release(session->device);
	gm_cuda_unload(&session->cuda);
	gm_session_unref(session);
	return 0;
}

const char *gpumem_backend_name(struct gpumem *handle)
{
	struct gm_session *session;
	const char *name;

	if (gm_session_get(handle, "backend_name", &session))
		return NULL;
	name = session->ops->name;
	gm_handle_put(handle);
	return name;
}

void *gpumem_cuda_symbol(struct gpumem *handle, const char *name)
{
	struct gm_session *session;
	void *symbol = NULL;

	if (gm_session_get(handle, "cuda_symbol", &session))
		return NULL;
	if (!name)
		gm_error(-EINVAL, "cuda_symbol: name is NULL; pass the name "
				  "of a function");
	else if (!(symbol = dlsym(session->cuda.lib, name)))
		gm_error(-ENOENT,
			 "cuda_symbol: libcuda has no function %.80s; check "
			 "the name, with its _v2, or use a newer driver",
			 name);
	gm_handle_put(handle);
	return symbol;
}

const char *gpumem_version(void)
{
	return GM_STRING(GPUMEM_VERSION_MAJOR) "." GM_STRING(
		GPUMEM_VERSION_MINOR) "." GM_STRING(GPUMEM_VERSION_PATCH);
}
