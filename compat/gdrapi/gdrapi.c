// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "private.h"

/* So many are closed before the memory of one is used again. */
#define GDRAPI_CLOSED_MIN 64u

static struct {
	/* With gdrapi_lock. */
	struct gdr *open;
	struct gdr *closed; /* the one that was closed last comes last */
	unsigned int closed_count;
	pthread_cond_t idle; /* the users of one became 0 */
} gdrapi_libraries = { .idle = PTHREAD_COND_INITIALIZER };

/*
 * Whether a backend is usable. The simulated GPU counts where it was asked for
 * or there is no trace of a real one, as for gpumem_open().
 */
static bool gdrapi_backend_usable(void)
{
	const char *wanted = secure_getenv("GPUMEM_BACKEND");
	bool any = false, no_gpu = true;

	for (unsigned int i = 0;; i++) {
		struct gpumem_backend backend = { .size = sizeof(backend) };
		bool simulated, asked;

		if (gpumem_backend_get(i, &backend))
			break;
		asked = wanted && *wanted;
		if (asked && strcmp(wanted, backend.name) != 0)
			continue;
		simulated = !strcmp(backend.name, "sim");
		gdrapi_log(GDRAPI_INFO, "backend %s: %s", backend.name,
			   backend.reason);
		any |= !backend.status && (!simulated || asked || no_gpu);
		no_gpu &= backend.status == -ENODEV;
	}
	return any;
}

/* With gdrapi_lock. */
static struct gdr *gdrapi_take_closed(void)
{
	struct gdr *g = gdrapi_libraries.closed;

	if (gdrapi_libraries.closed_count < GDRAPI_CLOSED_MIN)
		return NULL;
	gdrapi_libraries.closed = g->next;
	gdrapi_libraries.closed_count--;
	return g;
}

static struct gdr *gdrapi_new(void)
{
	struct gdr *g;

	pthread_mutex_lock(&gdrapi_lock);
	g = gdrapi_take_closed();
	pthread_mutex_unlock(&gdrapi_lock);
	if (!g)
		g = malloc(sizeof(*g));
	if (!g)
		return NULL;
	*g = (struct gdr){ .persistent = true };
	g->fork_generation = atomic_load(&gdrapi_fork_generation);
	for (unsigned int i = 0; i < GDRAPI_GPUS; i++)
		pthread_mutex_init(&g->gpus[i].opening, NULL);
	return g;
}

/* With gdrapi_lock. */
static void gdrapi_retire(struct gdr *g)
{
	struct gdr **last = &gdrapi_libraries.closed;

	while (*last)
		last = &(*last)->next;
	g->next = NULL;
	*last = g;
	gdrapi_libraries.closed_count++;
}

gdr_t gdr_open(void)
{
	struct gdr *g;

	if (!gdrapi_backend_usable()) {
		gdrapi_error(ENODEV, "gdr_open: no way to a GPU's memory works "
				     "here; gpumem info says why");
		return NULL;
	}
	g = gdrapi_start() ? gdrapi_new() : NULL;
	if (!g) {
		gdrapi_error(ENOMEM, "gdr_open: out of host memory");
		return NULL;
	}
	g->fd = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_lock(&gdrapi_lock);
	if (g->fd < 0) {
		gdrapi_retire(g);
		g = NULL;
	} else {
		g->next = gdrapi_libraries.open;
		gdrapi_libraries.open = g;
	}
	pthread_mutex_unlock(&gdrapi_lock);
	if (!g)
		gdrapi_error(errno, "gdr_open: no descriptor: %s",
			     strerror(errno));
	return g;
}

/* The place in the list of what is open, or NULL. With gdrapi_lock. */
static struct gdr **gdrapi_find(const struct gdr *g)
{
	struct gdr **at = &gdrapi_libraries.open;

	while (*at && *at != g)
		at = &(*at)->next;
	return *at ? at : NULL;
}

static int gdrapi_unknown(const struct gdr *g, const char *call)
{
	return gdrapi_error(EINVAL, "%s: %p is not open; call gdr_open()", call,
			    (const void *)g);
}

static bool gdrapi_is_parents(const struct gdr *g)
{
	return g->fork_generation != atomic_load(&gdrapi_fork_generation);
}

static _Thread_local int gdrapi_cancel_state;

void gdrapi_cancel_block(void)
{
	pthread_testcancel();
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &gdrapi_cancel_state);
}

void gdrapi_cancel_allow(void)
{
	pthread_setcancelstate(gdrapi_cancel_state, NULL);
}

int gdrapi_get(struct gdr *g, const char *call)
{
	int error = 0;

	gdrapi_cancel_block();
	pthread_mutex_lock(&gdrapi_lock);
	if (!gdrapi_find(g))
		error = EINVAL;
	else if (gdrapi_is_parents(g))
		error = EACCES;
	else
		g->users++;
	pthread_mutex_unlock(&gdrapi_lock);
	if (error)
		gdrapi_cancel_allow();
	if (error == EACCES)
		return gdrapi_error(EACCES,
				    "%s: another process opened it; call "
				    "gdr_open() in this one",
				    call);
	return error ? gdrapi_unknown(g, call) : 0;
}

void gdrapi_put(struct gdr *g)
{
	pthread_mutex_lock(&gdrapi_lock);
	if (!--g->users)
		pthread_cond_broadcast(&gdrapi_libraries.idle);
	pthread_mutex_unlock(&gdrapi_lock);
	gdrapi_cancel_allow();
}

static int gdrapi_close(struct gdr *g)
{
	struct gdr **at;
	bool parents;

	pthread_mutex_lock(&gdrapi_lock);
	at = gdrapi_find(g);
	if (!at) {
		pthread_mutex_unlock(&gdrapi_lock);
		return gdrapi_unknown(g, "gdr_close");
	}
	*at = g->next;
	parents = gdrapi_is_parents(g);
	while (!parents && g->users)
		pthread_cond_wait(&gdrapi_libraries.idle, &gdrapi_lock);
	pthread_mutex_unlock(&gdrapi_lock);

	if (parents)
		gdrapi_pin_drop_all(g);
	else
		gdrapi_pin_end_all(g);
	for (unsigned int i = 0; i < GDRAPI_GPUS; i++)
		if (g->gpus[i].session)
			gpumem_close(g->gpus[i].session);
	close(g->fd);
	pthread_mutex_lock(&gdrapi_lock);
	gdrapi_retire(g);
	pthread_mutex_unlock(&gdrapi_lock);
	return 0;
}

int gdr_close(gdr_t g)
{
	int error;

	gdrapi_cancel_block();
	error = gdrapi_close(g);
	gdrapi_cancel_allow();
	return error;
}

void gdr_runtime_get_version(int *major, int *minor)
{
	*major = GDR_API_MAJOR_VERSION;
	*minor = GDR_API_MINOR_VERSION;
}

int gdr_driver_get_version(gdr_t g, int *major, int *minor)
{
	int error = gdrapi_get(g, "gdr_driver_get_version");

	if (error)
		return error;
	gdrapi_put(g);
	if (!major || !minor)
		return gdrapi_error(EINVAL, "gdr_driver_get_version: a pointer "
					    "is NULL");
	gdr_runtime_get_version(major, minor);
	return 0;
}

int gdr_get_mapping_type_string(gdr_mapping_type_t mapping_type,
				const char **pstr)
{
	static const char *const names[GDR_MAPPING_TYPE_MAX] = {
		[GDR_MAPPING_TYPE_NONE] = "None",
		[GDR_MAPPING_TYPE_WC] = "Write Combining",
		[GDR_MAPPING_TYPE_CACHING] = "Caching",
		[GDR_MAPPING_TYPE_DEVICE] = "Device",
	};

	if (!pstr || (unsigned int)mapping_type >= GDR_MAPPING_TYPE_MAX)
		return EINVAL;
	*pstr = names[mapping_type];
	return 0;
}
