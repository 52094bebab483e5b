// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/backend.h"
#include "base/cancel.h"
#include "copy/context.h"
#include "base/env.h"
#include "base/error.h"
#include "base/handle.h"
#include "core/device_select.h"

/* The size of struct gpumem_options before device_id. */
#define GM_OPTIONS_FIRST offsetof(struct gpumem_options, device_id)

#define GM_STRING_(x) #x
#define GM_STRING(x) GM_STRING_(x)

static struct gm_session *gm_session_new(const struct gm_backend_ops *ops)
{
	struct gm_session *session = calloc(1, sizeof(*session));

	if (!session) {
		gm_error(-ENOMEM, "open: out of host memory; free some");
		return NULL;
	}
	session->ops = ops;
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

int gm_session_need_own(struct gm_session *session)
{
	const struct gm_cuda *cuda = &session->cuda;
	struct gm_cuda_scope scope;
	CUresult result;
	int rc;

	if (session->own)
		return 0;
	rc = gm_cuda_enter(&scope, cuda, session->context);
	if (rc)
		return rc;
	result = cuda->alloc(&session->own, GM_OWN_BYTES);
	if (!result)
		session->own_id = gm_cuda_buffer_id(cuda, session->own);
	gm_cuda_leave(&scope);
	if (!result)
		return 0;
	session->own = 0;
	return gm_cuda_error(cuda, result,
			     "open: allocate a little memory to try the way to "
			     "the GPU's memory with",
			     "free some GPU memory");
}

static void gm_session_free_own(struct gm_session *session)
{
	struct gm_cuda_scope scope;

	if (!session->own || gm_session_is_reset(session) ||
	    gm_cuda_enter(&scope, &session->cuda, session->context))
		return;
	session->cuda.free(session->own);
	gm_cuda_leave(&scope);
}

/* A context that is reset is none until it is used again, with another number. */
static bool gm_session_has_other_context(const struct gm_session *session)
{
	unsigned long long id = session->context_id;
	CUresult result;

	if (!id)
		return false;
	result = session->cuda.ctx_id(session->context, &id);
	return result == CUDA_ERROR_INVALID_CONTEXT ||
	       result == CUDA_ERROR_CONTEXT_IS_DESTROYED ||
	       id != session->context_id;
}

bool gm_session_is_reset(const struct gm_session *session)
{
	uint64_t id = session->own_id;
	CUresult result;

	if (gm_session_has_other_context(session))
		return true;
	if (!session->own_id)
		return false;
	result = session->cuda.pointer_get(&id, CU_POINTER_ATTRIBUTE_BUFFER_ID,
					   session->own);
	return result == CUDA_ERROR_INVALID_VALUE || id != session->own_id;
}

static int gm_session_start_cuda(struct gm_session *session,
				 const struct gm_wanted *wanted)
{
	struct gm_cuda *cuda = &session->cuda;
	CUresult result;
	int rc;

	result = cuda->init(0);
	if (result == CUDA_ERROR_NO_DEVICE)
		return gm_error(-ENODEV,
				"open: CUDA sees no GPU; check nvidia-smi and "
				"CUDA_VISIBLE_DEVICES");
	if (result)
		return gm_cuda_error(cuda, result, "open: start CUDA",
				     "check that the driver is loaded and as "
				     "new as libcuda, and that CUDA was not "
				     "used before a fork()");
	rc = gm_select(cuda, wanted, &session->ordinal, &session->device);
	if (rc)
		return rc;
	result = cuda->primary_retain(&session->context, session->device);
	if (result)
		return gm_cuda_error(cuda, result,
				     "open: retain the GPU's primary context",
				     "check its compute mode, and that its "
				     "memory is not full");
	if (!cuda->ctx_id ||
	    cuda->ctx_id(session->context, &session->context_id))
		session->context_id = 0;
	gm_device_pci(cuda, session->device, session->pci,
		      sizeof(session->pci));
	return 0;
}

/* A session with CUDA started, which no backend has opened. */
static int gm_session_start(const struct gm_backend_ops *ops,
			    const struct gm_wanted *wanted,
			    struct gm_session **started)
{
	struct gm_session *session = gm_session_new(ops);
	int rc;

	if (!session)
		return -ENOMEM;
	rc = ops->load_cuda(&session->cuda);
	if (rc)
		goto free_session;
	rc = gm_session_start_cuda(session, wanted);
	if (rc)
		goto unload;
	*started = session;
	return 0;

unload:
	gm_cuda_unload(&session->cuda);
free_session:
	gm_session_unref(session);
	return rc;
}

/* Undoes gm_session_start(). */
static void gm_session_stop(struct gm_session *session)
{
	gm_session_free_own(session);
	session->cuda.primary_release(session->device);
	gm_cuda_unload(&session->cuda);
	gm_session_unref(session);
}

/*
 * Opens a GPU through one backend that probe found usable. Where that fails
 * after CUDA was started, spare is left for another backend with the same
 * libcuda: to start CUDA takes far longer than all the rest.
 */
static int gm_session_open_with(const struct gm_backend_ops *ops,
				const struct gm_wanted *wanted,
				struct gm_session **spare,
				struct gpumem **handle)
{
	struct gm_session *session = *spare;
	int rc;

	if (session && session->ops->load_cuda != ops->load_cuda) {
		gm_session_stop(session);
		*spare = session = NULL;
	}
	if (!session) {
		rc = gm_session_start(ops, wanted, &session);
		if (rc)
			return rc;
	}
	*spare = session;
	session->ops = ops;
	rc = ops->open(session);
	if (rc)
		return rc;
	session->copier = gm_copier_new(session);
	if (session->copier)
		session->handle = gm_handle_new(GM_KIND_SESSION, session);
	if (!session->handle) {
		if (session->copier)
			gm_copier_free(session->copier);
		ops->close(session);
		return gm_error(-ENOMEM, "open: out of host memory; free some");
	}
	gm_copier_prepare(session->copier);
	gm_debug("open: GPU %d (%s) through %s", session->ordinal,
		 *session->pci ? session->pci : "no PCI address", ops->name);
	*spare = NULL;
	*handle = session->handle;
	return 0;
}

/* How an unusable backend is reported by gpumem_open(). */
static int gm_open_errno(int status)
{
	return status == -EACCES || status == -ELIBACC ? status : -ENODEV;
}

static int gm_open_forced(const char *name, const struct gm_wanted *wanted,
			  struct gpumem **handle)
{
	const struct gm_backend_ops *ops;
	struct gm_session *spare = NULL;
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
	rc = gm_session_open_with(ops, wanted, &spare, handle);
	if (spare)
		gm_session_stop(spare);
	return rc;
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
	static atomic_flag said = ATOMIC_FLAG_INIT;

	if (gm_env_number(GM_ENV_QUIET, 0) || atomic_flag_test_and_set(&said))
		return;
	fprintf(stderr, "gpumem: no NVIDIA GPU here: using the simulated "
			"GPU\n");
}

static int gm_open_first(const struct gm_wanted *wanted, struct gpumem **handle)
{
	struct gm_session *spare = NULL;
	const struct gm_backend_ops *ops;
	char reasons[900] = "";
	int rc, worst = -ENODEV;
	size_t used = 0;

	for (unsigned int i = 0; (ops = gm_backend_at(i)); i++) {
		char reason[232];

		rc = gm_open_may_choose(ops, reason, sizeof(reason));
		if (!rc) {
			rc = gm_session_open_with(ops, wanted, &spare, handle);
			if (!rc && ops == &gm_backend_sim)
				gm_open_say_simulated();
			if (!rc || rc == -ENOENT || rc == -ENOMEM)
				goto out;
			snprintf(reason, sizeof(reason), "%.220s",
				 gm_error_reason());
		}
		gm_debug("open: %s passed over: %s", ops->name, reason);
		if (worst == -ENODEV && rc != -EOPNOTSUPP)
			worst = rc;
		if (used < sizeof(reasons))
			used += snprintf(reasons + used, sizeof(reasons) - used,
					 "%s%s: %s", used ? " | " : "",
					 ops->name, reason);
	}
	rc = gm_error(worst, "open: no backend works here: %s", reasons);
out:
	if (spare)
		gm_session_stop(spare);
	return rc;
}

static int gm_options_check(const struct gpumem_options *options)
{
	if (!options)
		return 0;
	if (options->size != sizeof(*options) &&
	    options->size != GM_OPTIONS_FIRST)
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
	struct gm_wanted wanted = { 0 };
	const char *name = NULL;
	int rc;

	if (!session)
		return gm_error(-EINVAL,
				"open: session is NULL; pass where the handle "
				"goes");
	rc = gm_options_check(options);
	if (!rc && options) {
		name = options->backend;
		rc = gm_wanted_set(&wanted, options->device,
				   options->size == GM_OPTIONS_FIRST
					   ? NULL
					   : options->device_id);
	}
	if (!rc)
		rc = gm_env_check();
	if (rc)
		return rc;
	if (!name)
		name = gm_backend_forced();
	gm_cancel_point();
	gm_cancel_block();
	rc = name ? gm_open_forced(name, &wanted, session)
		  : gm_open_first(&wanted, session);
	gm_cancel_allow();
	return rc;
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
	gm_dma_drop_all(session);
	while ((found = gm_handle_find(GM_KIND_BUFFER, gm_buf_is_of,
				       session))) {
		if (!gm_handle_drop(GM_KIND_BUFFER, found, "close", &object))
			gm_buf_drop(object);
	}
	gm_copier_drop(session->copier);
	session->ops->drop(session);
	free(session);
	return 0;
}

/* The handle is dead. */
static void gm_session_end(struct gm_session *session)
{
	/* Its memory is a buffer of the session too. */
	gm_copier_stop(session->copier);
	gm_session_empty(session);
	gm_copier_free(session->copier);
	session->ops->close(session);
	gm_session_stop(session);
}

int gpumem_close(struct gpumem *handle)
{
	void *session;
	int rc;

	gm_cancel_point();
	gm_cancel_block();
	rc = gm_handle_kill(GM_KIND_SESSION, handle, "close", &session);
	if (rc == -EPERM)
		rc = gm_session_drop(handle);
	else if (!rc)
		gm_session_end(session);
	gm_cancel_allow();
	return rc;
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

int gpumem_stats_get(struct gpumem *handle, struct gpumem_stats *stats)
{
	struct gm_session *session;
	atomic_ullong *counts;
	int rc;

	rc = gm_session_get(handle, "stats_get", &session);
	if (rc)
		return rc;
	counts = session->counts;
	if (!stats)
		rc = gm_error(-EINVAL, "stats_get: stats is NULL; pass a "
				       "struct gpumem_stats");
	else if (stats->size != sizeof(*stats))
		rc = gm_error(-EINVAL,
			      "stats_get: size is %zu: this library knows %zu; "
			      "set it to sizeof(struct gpumem_stats)",
			      stats->size, sizeof(*stats));
	else
		*stats = (struct gpumem_stats){
			.size = sizeof(*stats),
			.pins = counts[GM_COUNT_PINS],
			.repins = counts[GM_COUNT_REPINS],
			.proofs = counts[GM_COUNT_PROOFS],
			.trial_writes = counts[GM_COUNT_TRIAL_WRITES],
			.proof_ns = counts[GM_COUNT_PROOF_NS],
			.find_ns = counts[GM_COUNT_FIND_NS],
			.handle_ns = counts[GM_COUNT_HANDLE_NS],
			.import_ns = counts[GM_COUNT_IMPORT_NS],
			.bar1_ns = counts[GM_COUNT_BAR1_NS],
			.mmap_ns = counts[GM_COUNT_MMAP_NS],
			.release_ns = counts[GM_COUNT_RELEASE_NS],
		};
	gm_handle_put(handle);
	return rc;
}

const char *gpumem_version(void)
{
	return GM_STRING(GPUMEM_VERSION_MAJOR) "." GM_STRING(
		GPUMEM_VERSION_MINOR) "." GM_STRING(GPUMEM_VERSION_PATCH);
}
