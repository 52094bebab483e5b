// SPDX-License-Identifier: MIT
/* gpumem_open() and gpumem_close(): options, the choice of a backend, tear-down. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/env.h"
#include "base/error.h"
#include "base/handle.h"
#include "copy/context.h"
#include "backends.h"
#include "core/device_select.h"
#include "core/session.h"
#include "cpu/cpu.h"

/* The size of struct gpumem_options before device_id. */
#define GM_OPTIONS_FIRST offsetof(struct gpumem_options, device_id)

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

/* GPUMEM_CPU names one of the copy routines that this CPU has. */
static int gm_open_check_cpu(void)
{
	const char *text = gm_env_get("GPUMEM_CPU");
	const struct gm_cpu *cpu;
	char takes[120] = "on this CPU";
	size_t used = strlen(takes);

	for (unsigned int i = 0; text && (cpu = gm_cpu_at(i)); i++) {
		if (!strcmp(cpu->name, text))
			return 0;
		if (used < sizeof(takes))
			used += snprintf(takes + used, sizeof(takes) - used,
					 "%s %s", i ? "," : "", cpu->name);
	}
	return text ? gm_env_refuse("GPUMEM_CPU", text, takes) : 0;
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
	if (!rc)
		rc = gm_open_check_cpu();
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
