// SPDX-License-Identifier: MIT
/* A session: its life, its memory of its own, and what it tells of itself. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/handle.h"
#include "core/backend.h"
#include "core/session.h"

#define GM_STRING_(x) #x
#define GM_STRING(x) GM_STRING_(x)

struct gm_session *gm_session_new(const struct gm_backend_ops *ops)
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

void gm_session_free_own(struct gm_session *session)
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
