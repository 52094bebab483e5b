// SPDX-License-Identifier: MIT
/*
 * libgdrapi on the simulated GPU: handles that are dead or foreign, forked
 * children, threads, GPUs, copies and messages.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../compat/gdrapi/private.h"
#include "gdrapi_unit.h"

#define THREADS 6
#define ROUNDS 200

/* Every call with a handle that is none. */
static void check_dead(gdr_t g, gdr_mh_t mh)
{
	gdr_info_t info;
	void *map = NULL;
	char byte = 0;
	int flag;

	assert_int_equal(gdr_get_info(g, mh, &info), EINVAL);
	assert_int_equal(gdr_get_callback_flag(g, mh, &flag), EINVAL);
	assert_int_equal(gdr_map(g, mh, &map, 65536), EINVAL);
	assert_int_equal(gdr_unmap(g, mh, &byte, 65536), EINVAL);
	assert_int_equal(gdr_unpin_buffer(g, mh), EINVAL);
	assert_int_equal(gdr_copy_to_mapping(mh, &byte, &byte, 1), EINVAL);
	assert_int_equal(gdr_copy_from_mapping(mh, &byte, &byte, 1), EINVAL);
	assert_int_equal(gdr_copy_to_mapping_v2(mh, &byte, &byte, 1, 0),
			 EINVAL);
	assert_int_equal(gdr_copy_from_mapping_v2(mh, &byte, &byte, 1, 2),
			 EINVAL);
	assert_int_equal(gdr_copy_fence(mh, 0), EINVAL);
	assert_null(map);
}

/* How far from the first one handles' slots lie. */
struct slots {
	long most, least;
};

static void slots_count(struct slots *slots, gdr_mh_t mh, gdr_mh_t first)
{
	long slot = (long)((mh.h - first.h) / GDRAPI_STEP % GDRAPI_SLOTS);

	if (slot >= (long)GDRAPI_SLOTS / 2)
		slot -= GDRAPI_SLOTS;
	if (slot > slots->most)
		slots->most = slot;
	if (slot < slots->least)
		slots->least = slot;
}

static void dead_handles_are_told(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 65536), old = mh;
	struct slots slots = { 0 };
	char lookalike[104] = { 0 };

	/* As much of it as GDRCopy's own structure has can be read. */
	assert_true(gdr_unit_readable((void *)mh.h, 104));
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	check_dead(gdr_unit, mh);
	assert_true(gdr_unit_readable((void *)mh.h, 104));
	/* Many times over it stays dead, while its like come and go. */
	for (int i = 0; i < 3000; i++) {
		mh = gdr_unit_pin(memory.addr, 65536);
		slots_count(&slots, mh, old);
		assert_int_not_equal(mh.h, old.h);
		assert_int_equal(gdr_unpin_buffer(gdr_unit, old), EINVAL);
		assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	}
	/* They are used again, so that days of this do not use them up. */
	assert_in_range(slots.most - slots.least, 500, 1300);
	check_dead(gdr_unit, (gdr_mh_t){ 0 });
	check_dead(gdr_unit, (gdr_mh_t){ old.h + 4 });
	check_dead(gdr_unit, (gdr_mh_t){ old.h + 8 });
	check_dead(gdr_unit, (gdr_mh_t){ ~0ul });
	/* A copy of what it points to is no handle. */
	check_dead(gdr_unit, (gdr_mh_t){ (unsigned long)lookalike });
	unit_free(memory.place);
}

static void a_handle_belongs_to_one_library(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 65536);
	gdr_t other = gdr_open();
	gdr_info_t info;
	void *map;

	assert_non_null(other);
	assert_int_equal(gdr_get_info(other, mh, &info), EINVAL);
	assert_int_equal(gdr_map(other, mh, &map, 65536), EINVAL);
	assert_int_equal(gdr_unpin_buffer(other, mh), EINVAL);
	assert_int_equal(gdr_close(other), 0);
	assert_int_equal(gdr_get_info(gdr_unit, mh, &info), 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

static void close_ends_everything(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_t g = gdr_open();
	gdr_mh_t mh, unmapped;
	char *map;
	void *at;

	assert_non_null(g);
	assert_int_equal(gdr_pin_buffer(g, memory.addr, 65536, 0, 0, &mh), 0);
	assert_int_equal(gdr_pin_buffer(g, memory.addr, 65536, 0, 0, &unmapped),
			 0);
	assert_int_equal(gdr_map(g, mh, &at, 65536), 0);
	map = at;
	map[0] = 1;
	assert_int_equal(gdr_close(g), 0);
	assert_true(gdr_unit_touch(map));
	assert_int_equal(gdr_close(g), EINVAL);
	check_dead(g, mh);
	check_dead(g, unmapped);
	assert_int_equal(gdr_pin_buffer(g, memory.addr, 65536, 0, 0, &mh),
			 EINVAL);
	unit_free(memory.place);
}

static void open_and_close_many(void **state)
{
	gdr_t first = gdr_open();

	assert_int_equal(gdr_close(first), 0);
	for (int i = 0; i < 50; i++) {
		gdr_t g = gdr_open();

		assert_non_null(g);
		/* It is not taken for a later one. */
		assert_int_equal(gdr_close(first), EINVAL);
		assert_int_equal(gdr_close(g), 0);
	}
	for (int i = 0; i < 200; i++)
		assert_int_equal(gdr_close(gdr_open()), 0);
	assert_int_equal(gdr_close(NULL), EINVAL);
}

/* What a program that got the descriptor from another process makes of it. */
static void a_forged_library_is_refused(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 65536), made;
	struct {
		int fd;
		char rest[44];
	} forged = { .fd = *(int *)gdr_unit };
	gdr_t g = (gdr_t)&forged;
	char copied[104];

	memcpy(copied, (void *)mh.h, sizeof(copied));
	assert_int_equal(gdr_pin_buffer(g, memory.addr, 65536, 0, 0, &made),
			 EINVAL);
	check_dead(g, mh);
	check_dead(g, (gdr_mh_t){ (unsigned long)copied });
	assert_int_equal(gdr_close(g), EINVAL);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

struct parents {
	CUdeviceptr addr;
	gdr_mh_t mapped;
	gdr_mh_t pinned;
	char *map;
};

static int use_the_parents(void *arg)
{
	struct parents *p = arg;
	gdr_info_t info;
	gdr_mh_t mh;
	void *map;
	char byte;
	int n;

	CHECK(gdr_pin_buffer(gdr_unit, p->addr, 65536, 0, 0, &mh) == EACCES);
	CHECK(gdr_map(gdr_unit, p->pinned, &map, 65536) == EACCES);
	CHECK(gdr_unmap(gdr_unit, p->mapped, p->map, 65536) == EACCES);
	CHECK(gdr_get_info(gdr_unit, p->mapped, &info) == EACCES);
	CHECK(gdr_get_callback_flag(gdr_unit, p->mapped, &n) == EACCES);
	CHECK(gdr_driver_get_version(gdr_unit, &n, &n) == EACCES);
	CHECK(gdr_unpin_buffer(gdr_unit, p->mapped) == EACCES);
	CHECK(gdr_copy_from_mapping(p->mapped, &byte, p->map, 1) == EACCES);
	CHECK(gdr_copy_from_mapping(p->mapped, &byte, p->map + 65535, 1) ==
	      EACCES);
	CHECK(gdr_copy_from_mapping_v2(p->mapped, &byte, p->map, 1, 2) ==
	      EACCES);
	CHECK(gdr_copy_to_mapping_v2(p->mapped, p->map, &byte, 1, 0) == EACCES);
	CHECK(gdr_copy_fence(p->mapped, 3) == EACCES);
	/* Only its copy of the library is closed. */
	CHECK(gdr_close(gdr_unit) == 0);
	CHECK(gdr_close(gdr_unit) == EINVAL);
	CHECK(gdr_copy_from_mapping(p->mapped, &byte, p->map, 1) == EINVAL);
	return 0;
}

static void a_child_gets_nothing_of_its_parents(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	struct parents p = { .addr = memory.addr };

	/* The page's end is not in the pin, but in the mapping. */
	p.mapped = gdr_unit_pin(memory.addr, 100);
	p.pinned = gdr_unit_pin(memory.addr, 65536);
	p.map = gdr_unit_map(p.mapped, 65536);
	p.map[0] = 5;
	assert_int_equal(gdr_unit_touch(p.map), SIGSEGV);
	assert_int_equal(gdr_unit_child(use_the_parents, &p), 0);
	assert_int_equal(p.map[0], 5);
	assert_int_equal(gdr_unmap(gdr_unit, p.mapped, p.map, 65536), 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, p.mapped), 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, p.pinned), 0);
	unit_free(memory.place);
}

/* Of what a mapping shows, only the pin's part goes through the library. */
static void copies_anywhere_in_the_mapping(void **state)
{
	const size_t size = 4 * 65536 + 1000;
	struct gdr_unit_memory memory = gdr_unit_alloc(5 * 65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, size);
	char *map = gdr_unit_map(mh, 5 * 65536);
	char *want = malloc(5 * 65536), *seen = malloc(5 * 65536);
	uint32_t random = 12345;

	for (int i = 0; i < ROUNDS; i++) {
		size_t offset, length;

		random = random * 1664525 + 1013904223;
		offset = (random >> 4) % (5 * 65536);
		random = random * 1664525 + 1013904223;
		length = (random >> 4) % (i % 4 ? 300 : 5 * 65536 - offset + 1);
		if (length > 5 * 65536 - offset)
			length = 5 * 65536 - offset;
		unit_fill(want, length, i);
		assert_int_equal(
			gdr_copy_to_mapping(mh, map + offset, want, length), 0);
		assert_int_equal(unit_cuda.to_host(seen, memory.addr + offset,
						   length),
				 0);
		assert_memory_equal(want, seen, length);
		memset(seen, 0, length);
		assert_int_equal(gdr_copy_from_mapping(mh, seen, map + offset,
						       length),
				 0);
		assert_memory_equal(want, seen, length);
	}
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	free(want);
	free(seen);
	unit_free(memory.place);
}

static void copies_that_are_refused(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(2 * 65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 2 * 65536);
	char host[16] = { 0 };
	char *map;

	assert_int_equal(gdr_copy_to_mapping(mh, host, host, 16), EINVAL);
	map = gdr_unit_map(mh, 65536);
	assert_int_equal(gdr_copy_to_mapping(mh, map - 1, host, 1), EINVAL);
	assert_int_equal(gdr_copy_to_mapping(mh, map + 65530, host, 16),
			 EINVAL);
	assert_int_equal(gdr_copy_from_mapping(mh, host, map + 65536, 1),
			 EINVAL);
	assert_int_equal(gdr_copy_from_mapping(mh, host, map, SIZE_MAX),
			 EINVAL);
	assert_int_equal(gdr_copy_from_mapping(mh, NULL, map, 1), EINVAL);
	assert_int_equal(gdr_copy_from_mapping(mh, host, map + 65536, 0), 0);
	assert_int_equal(gdr_copy_to_mapping_v2(mh, map + 65530, host, 16, 1),
			 EINVAL);
	assert_int_equal(gdr_copy_from_mapping_v2(mh, host, map + 65536, 1, 2),
			 EINVAL);
	assert_int_equal(gdr_copy_to_mapping_v2(mh, map, NULL, 0, 0), 0);
	assert_int_equal(gdr_unmap(gdr_unit, mh, map, 65536), 0);
	assert_int_equal(gdr_copy_from_mapping(mh, host, map, 1), EINVAL);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

static void *pin_map_copy(void *arg)
{
	CUdeviceptr addr;
	char want[3000], seen[3000];

	unit_use_context();
	if (unit_cuda.alloc(&addr, 4 * 65536))
		return "alloc";
	for (int i = 0; i < ROUNDS; i++) {
		CUdeviceptr start = (addr + GPU_PAGE_OFFSET) & GPU_PAGE_MASK;
		gdr_mh_t mh;
		void *map;

		if (gdr_pin_buffer(gdr_unit, start, 2 * 65536, 0, 0, &mh))
			return "pin";
		if (gdr_map(gdr_unit, mh, &map, 2 * 65536))
			return "map";
		unit_fill(want, sizeof(want), (uint32_t)(uintptr_t)&addr + i);
		if (gdr_copy_to_mapping(mh, (char *)map + i, want,
					sizeof(want)) ||
		    gdr_copy_from_mapping(mh, seen, (char *)map + i,
					  sizeof(seen)))
			return "copy";
		if (memcmp(want, seen, sizeof(want)))
			return "other data";
		if (i % 2 && gdr_unmap(gdr_unit, mh, map, 2 * 65536))
			return "unmap";
		if (gdr_unpin_buffer(gdr_unit, mh))
			return "unpin";
		if (gdr_unpin_buffer(gdr_unit, mh) != EINVAL)
			return "unpin twice";
	}
	return unit_cuda.free(addr) ? "free" : NULL;
}

static void many_threads_at_once(void **state)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, pin_map_copy,
						NULL),
				 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		if (failed)
			fail_msg("%s", (char *)failed);
	}
}

static struct {
	gdr_t g;
	_Atomic unsigned long mh;
	_Atomic uintptr_t map;
	atomic_bool end;
} shared;

/* Copies whether or not the buffer is mapped: data, or an error. */
static void *copy_on(void *arg)
{
	char bytes[500];

	while (!atomic_load(&shared.end)) {
		gdr_mh_t mh = { atomic_load(&shared.mh) };
		uintptr_t map = atomic_load(&shared.map);
		int error;

		error = gdr_copy_to_mapping(mh, (void *)map, bytes,
					    sizeof(bytes));
		if (error && error != EINVAL)
			return "copy to";
		/* What is beside the pin, too. */
		error = gdr_copy_from_mapping(mh, bytes, (void *)(map + 60000),
					      sizeof(bytes));
		if (error && error != EINVAL)
			return "copy from";
	}
	return NULL;
}

static void copies_race_with_unmap_unpin_and_close(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, copy_on, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		gdr_t g = gdr_open();
		gdr_mh_t mh;
		void *map;

		assert_int_equal(
			gdr_pin_buffer(g, memory.addr, 30000, 0, 0, &mh), 0);
		assert_int_equal(gdr_map(g, mh, &map, 65536), 0);
		atomic_store(&shared.map, (uintptr_t)map);
		atomic_store(&shared.mh, mh.h);
		usleep(300);
		if (i % 3 == 0)
			assert_int_equal(gdr_unmap(g, mh, map, 65536), 0);
		if (i % 3 == 1)
			assert_int_equal(gdr_unpin_buffer(g, mh), 0);
		assert_int_equal(gdr_close(g), 0);
	}
	atomic_store(&shared.end, true);
	for (int i = 0; i < 2; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		if (failed)
			fail_msg("%s", (char *)failed);
	}
	unit_free(memory.place);
}

/* One library, the memory of two GPUs. */
static void every_gpu_through_one_library(void **state)
{
	CUcontext context;
	struct gdr_unit_memory first, second;
	gdr_mh_t a, b;
	char *one, *two;

	first = gdr_unit_alloc(65536);
	assert_int_equal(unit_cuda.primary_retain(&context, 1), 0);
	assert_int_equal(unit_cuda.ctx_set(context), 0);
	second = gdr_unit_alloc(65536);
	b = gdr_unit_pin(second.addr, 65536);
	a = gdr_unit_pin(first.addr, 65536);
	one = gdr_unit_map(a, 65536);
	two = gdr_unit_map(b, 65536);
	assert_int_equal(unit_cuda.set(second.addr, 2, 65536), 0);
	one[0] = 1;
	assert_int_equal(two[0], 2);
	assert_int_equal(one[0], 1);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, a), 0);
	assert_int_equal(gdr_unpin_buffer(gdr_unit, b), 0);
	unit_free(second.place);
	unit_use_context();
	assert_int_equal(unit_cuda.primary_release(1), 0);
	unit_free(first.place);
}

/* Standard error of a child that makes a mistake, under an environment. */
static size_t messages(const char *enable, const char *level, char *text,
		       size_t size)
{
	int fds[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		dup2(fds[1], 2);
		close(fds[0]);
		close(fds[1]);
		if (enable)
			setenv("GDRCOPY_ENABLE_LOGGING", enable, 1);
		if (level)
			setenv("GDRCOPY_LOG_LEVEL", level, 1);
		execl("/proc/self/exe", "test_gdrapi_life", "mistake", NULL);
		_exit(2);
	}
	close(fds[1]);
	while ((n = read(fds[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return used;
}

static int mistake(void)
{
	CUdeviceptr addr;
	gdr_mh_t mh;
	gdr_t g;

	if (unit_setup(NULL) || unit_cuda.alloc(&addr, 4096))
		return 1;
	g = gdr_open();
	return !g || gdr_pin_buffer(g, addr, 4096, 0, 0, &mh) ||
	       gdr_pin_buffer(g, 0x10000, 1, 0, 0, &mh) != EINVAL ||
	       gdr_close(g);
}

static void messages_come_when_asked_for(void **state)
{
	char text[8192];

	assert_int_equal(messages(NULL, NULL, text, sizeof(text)), 0);
	assert_int_equal(messages(NULL, "1", text, sizeof(text)), 0);
	assert_true(messages("1", NULL, text, sizeof(text)) > 0);
	assert_non_null(
		strstr(text, "ERR:  gdr_pin_buffer: device_of 0x10000"));
	assert_null(strstr(text, "INFO: "));
	assert_true(messages("", "2", text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "ERR:  gdr_pin_buffer"));
	assert_non_null(strstr(text, "INFO: GPU 0 through backend sim"));
	assert_int_equal(messages("1", "5", text, sizeof(text)), 0);
}

/* How many of CUDA's copies a long copy out and back is. */
static uint64_t copies_of_cudas(gdr_t g)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(4 * MIB);
	struct gpumem_sim_info before, after;
	void *map, *host;
	gdr_mh_t mh;

	assert_int_equal(unit_cuda.alloc_host(&host, 4 * MIB), 0);
	assert_int_equal(gdr_pin_buffer(g, memory.addr, 4 * MIB, 0, 0, &mh), 0);
	assert_int_equal(gdr_map(g, mh, &map, 4 * MIB), 0);
	unit_fill(host, 4 * MIB, 5);
	assert_int_equal(unit_cuda.sim_info(&before), 0);
	assert_int_equal(gdr_copy_to_mapping(mh, map, host, 4 * MIB), 0);
	memset(host, 0, 4 * MIB);
	assert_int_equal(gdr_copy_from_mapping(mh, host, map, 4 * MIB), 0);
	assert_int_equal(unit_cuda.sim_info(&after), 0);
	assert_memory_equal(host, map, 4 * MIB);
	assert_int_equal(gdr_unpin_buffer(g, mh), 0);
	assert_int_equal(unit_cuda.free_host(host), 0);
	unit_free(memory.place);
	return after.copies - before.copies;
}

/* Memory that is freed during one of them would end the context. */
static void copies_are_cudas_only_where_asked_for(void **state)
{
	gdr_t g;

	assert_int_equal(copies_of_cudas(gdr_unit), 0);
	setenv("GPUMEM_COPY_ENGINE", "1", 1);
	g = gdr_open();
	assert_non_null(g);
	assert_int_equal(copies_of_cudas(g), 2);
	unsetenv("GPUMEM_COPY_ENGINE");
	assert_int_equal(gdr_close(g), 0);
}

static int open_in_vain(void *arg)
{
	setenv("GPUMEM_BACKEND", arg, 1);
	CHECK(!gdr_open());
	return 0;
}

static void *ask_of_the_pin(void *mh)
{
	gdr_info_t info;

	assert_int_equal(gdr_get_info(gdr_unit, *(gdr_mh_t *)mh, &info), 0);
	return NULL;
}

/* Another thread can use the pin after each call, also after one that is refused. */
static void calls_leave_the_pin_to_others(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_mh_t mh = gdr_unit_pin(memory.addr, 65536);
	gdr_info_t info;
	void *map = NULL, *again = NULL;
	pthread_t thread;
	int flag;

	for (int i = 0; i < 8; i++) {
		switch (i) {
		case 0:
			assert_int_equal(gdr_unmap(gdr_unit, mh, &flag, 65536),
					 EINVAL);
			break;
		case 1:
			assert_int_equal(gdr_map(gdr_unit, mh, &map, 65536), 0);
			break;
		case 2:
			assert_int_equal(gdr_map(gdr_unit, mh, &again, 65536),
					 EAGAIN);
			break;
		case 3:
			assert_int_equal(gdr_get_info(gdr_unit, mh, &info), 0);
			break;
		case 4:
			assert_int_equal(
				gdr_get_callback_flag(gdr_unit, mh, &flag), 0);
			break;
		case 5:
			assert_int_equal(gdr_copy_to_mapping(mh, map, &flag, 4),
					 0);
			break;
		case 6:
			assert_int_equal(gdr_unmap(gdr_unit, mh, map, 65536),
					 0);
			break;
		}
		assert_int_equal(
			pthread_create(&thread, NULL, ask_of_the_pin, &mh), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	assert_int_equal(gdr_unpin_buffer(gdr_unit, mh), 0);
	unit_free(memory.place);
}

static void open_fails_where_nothing_works(void **state)
{
	assert_int_equal(gdr_unit_child(open_in_vain, "kmod"), 0);
	assert_int_equal(gdr_unit_child(open_in_vain, "rm"), 0);
	assert_int_equal(gdr_unit_child(open_in_vain, "no such one"), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dead_handles_are_told),
		cmocka_unit_test(a_handle_belongs_to_one_library),
		cmocka_unit_test(calls_leave_the_pin_to_others),
		cmocka_unit_test(close_ends_everything),
		cmocka_unit_test(open_and_close_many),
		cmocka_unit_test(a_forged_library_is_refused),
		cmocka_unit_test(a_child_gets_nothing_of_its_parents),
		cmocka_unit_test(copies_anywhere_in_the_mapping),
		cmocka_unit_test(copies_that_are_refused),
		cmocka_unit_test(many_threads_at_once),
		cmocka_unit_test(copies_race_with_unmap_unpin_and_close),
		cmocka_unit_test(every_gpu_through_one_library),
		cmocka_unit_test(copies_are_cudas_only_where_asked_for),
		cmocka_unit_test(messages_come_when_asked_for),
		cmocka_unit_test(open_fails_where_nothing_works),
	};

	if (argc > 1 && !strcmp(argv[1], "mistake"))
		return mistake();
	return group_run(tests, gdr_unit_setup, gdr_unit_teardown);
}
