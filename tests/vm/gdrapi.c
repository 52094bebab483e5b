// SPDX-License-Identifier: MIT
/*
 * libgdrapi over the backend that GPUMEM_BACKEND names, in a machine with an
 * emulated GPU. tests/unit has the rest of it, on the simulated GPU.
 */
#include <gdrapi.h>
#include <pthread.h>
#include <sys/socket.h>

#include "t_lib.h"

static gdr_t g;
static struct gpumem *session;

static void gdr_start(void)
{
	t_signals_catch();
	session = t_lib_open(getenv("GPUMEM_BACKEND"));
	g = gdr_open();
	need(g, "gdr_open");
}

static void gdr_end(void)
{
	check_result(gdr_close(g), 0, "gdr_close");
	t_lib_close(session);
}

static gdr_mh_t must_pin(uint64_t addr, size_t size)
{
	gdr_mh_t mh = { 0 };
	int r = gdr_pin_buffer(g, addr, size, 0, 0, &mh);

	need(!r && mh.h, "gdr_pin_buffer: %s: %s", strerror(r),
	     gpumem_last_error());
	return mh;
}

static void *must_map(gdr_mh_t mh, size_t size)
{
	void *map = NULL;
	int r = gdr_map(g, mh, &map, size);

	need(!r && map, "gdr_map: %s: %s", strerror(r), gpumem_last_error());
	return map;
}

static void mode_data(void)
{
	static const size_t sizes[] = { GPU_PAGE, 256 * KIB + GPU_PAGE,
					3 * MIB };

	gdr_start();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i], words = size / 4;
		uint64_t addr = t_lib_alloc(size + GPU_PAGE);
		uint64_t start = (addr + GPU_PAGE - 1) & ~(GPU_PAGE - 1);
		gdr_mh_t mh = must_pin(start, size);
		uint32_t *host = malloc(size), *seen = malloc(size);
		gdr_info_t info;
		uint32_t *map;

		need(host && seen, "memory");
		map = must_map(mh, size);
		check_result(gdr_get_info(g, mh, &info), 0, "gdr_get_info");
		check(info.va == start && info.mapped_size == size &&
			      info.page_size == GPU_PAGE && info.mapped &&
			      info.mapping_type == GDR_MAPPING_TYPE_WC,
		      "info: va 0x%llx, %llu bytes",
		      (unsigned long long)info.va,
		      (unsigned long long)info.mapped_size);
		counter_fill(map, words, 1);
		t_lib_to_host(seen, start, size);
		counter_check(seen, words, 1, "stores through the mapping");
		counter_fill(host, words, 1000);
		check_result(gdr_copy_to_mapping(mh, map, host, size), 0,
			     "gdr_copy_to_mapping");
		t_lib_to_host(seen, start, size);
		counter_check(seen, words, 1000, "gdr_copy_to_mapping");
		memset(seen, 0, size);
		check_result(gdr_copy_from_mapping(mh, seen, map, size), 0,
			     "gdr_copy_from_mapping");
		counter_check(seen, words, 1000, "gdr_copy_from_mapping");
		/* Odd ends. */
		check_result(gdr_copy_to_mapping(mh, (char *)map + 11, host,
						 size - 11),
			     0, "gdr_copy_to_mapping at 11");
		check_result(gdr_copy_from_mapping(mh, seen, (char *)map + 11,
						   size - 11),
			     0, "gdr_copy_from_mapping at 11");
		check(!memcmp(host, seen, size - 11), "other data at 11");
		/* A write without its fence, and a fence. */
		counter_fill(host, words, 2000);
		check_result(gdr_copy_to_mapping_v2(mh, map, host, size, 0), 0,
			     "gdr_copy_to_mapping_v2");
		check_result(gdr_copy_fence(mh, GDR_COPY_FLAG_WRITE_FENCE), 0,
			     "gdr_copy_fence");
		t_lib_to_host(seen, start, size);
		counter_check(seen, words, 2000, "gdr_copy_to_mapping_v2");
		memset(seen, 0, size);
		check_result(gdr_copy_from_mapping_v2(mh, seen, map, size,
						      GDR_COPY_FLAG_READ_FENCE),
			     0, "gdr_copy_from_mapping_v2");
		counter_check(seen, words, 2000, "gdr_copy_from_mapping_v2");
		check_result(gdr_unmap(g, mh, map, size), 0, "gdr_unmap");
		check_result(gdr_unpin_buffer(g, mh), 0, "gdr_unpin_buffer");
		t_lib_free(addr);
		free(host);
		free(seen);
	}
	gdr_end();
}

static void mode_refusals(void)
{
	uint64_t addr, start;
	void *map, *other = NULL;
	gdr_mh_t mh, odd;
	char byte = 0;

	gdr_start();
	addr = t_lib_alloc(3 * GPU_PAGE);
	start = (addr + GPU_PAGE - 1) & ~(GPU_PAGE - 1);
	check_result(gdr_pin_buffer(g, NOWHERE, GPU_PAGE, 0, 0, &mh), EINVAL,
		     "no memory");
	check_result(gdr_pin_buffer(g, start, 0, 0, 0, &mh), EINVAL, "size 0");
	check_result(gdr_pin_buffer(g, start, 64 * MIB, 0, 0, &mh), EINVAL,
		     "too long");
	check_result(gdr_pin_buffer_v2(g, start, GPU_PAGE, 8, &mh), EINVAL,
		     "flags");
	check_result(gdr_pin_buffer_v2(g, start, GPU_PAGE,
				       GDR_PIN_FLAG_FORCE_PCIE, &mh),
		     0, "through PCIe: %s", gpumem_last_error());
	check_result(gdr_unpin_buffer(g, mh), 0, "unpin");
	mh = must_pin(start, GPU_PAGE);
	odd = must_pin(start + 512, 512);
	check_result(gdr_map(g, odd, &other, 512), EINVAL, "unaligned");
	check_result(gdr_map(g, mh, &other, GPU_PAGE + 1), EINVAL, "large");
	check_result(gdr_map_v2(g, mh, &other, GPU_PAGE,
				GDR_MAP_FLAG_REQ_CACHE_MAPPING),
		     EOPNOTSUPP, "cached");
	check_result(gdr_unmap(g, mh, &byte, GPU_PAGE), EINVAL, "not mapped");
	map = must_map(mh, GPU_PAGE);
	check_result(gdr_map(g, mh, &other, GPU_PAGE), EAGAIN, "mapped twice");
	check_result(gdr_unmap(g, mh, (char *)map + PAGE, PAGE), EINVAL,
		     "unmapped elsewhere");
	check_result(t_store(map, 5), 0, "still mapped");
	check_result(gdr_copy_to_mapping(mh, (char *)map + GPU_PAGE, &byte, 1),
		     EINVAL, "outside");
	check(!other, "a pointer was stored");
	check_result(gdr_unpin_buffer(g, mh), 0, "unpin while mapped");
	check_result(gdr_unpin_buffer(g, mh), EINVAL, "unpin twice");
	check_result(gdr_map(g, mh, &other, GPU_PAGE), EINVAL, "map after");
	check_result(gdr_unpin_buffer(g, odd), 0, "unpin");
	t_lib_free(addr);
	gdr_end();
}

/* What shares a page with the memory that was pinned. */
static void copy_beside(gdr_mh_t mh, char *map, uint64_t addr, size_t words)
{
	static uint32_t host[GPU_PAGE / 4], seen[GPU_PAGE / 4];

	for (uint32_t round = 0; round < 3; round++) {
		counter_fill(host, words, round * 1000);
		check_result(gdr_copy_to_mapping(mh, map, host, words * 4), 0,
			     "copy beside");
		t_lib_to_host(seen, addr, words * 4);
		counter_check(seen, words, round * 1000, "copied beside");
		memset(seen, 0, words * 4);
		check_result(gdr_copy_from_mapping(mh, seen, map, words * 4), 0,
			     "copy back");
		counter_check(seen, words, round * 1000, "copied back");
	}
	check_result(gdr_copy_from_mapping(mh, seen, map + 3, words * 4 - 9), 0,
		     "copy of odd ends");
	check(!memcmp(seen, (char *)host + 3, words * 4 - 9),
	      "other data between odd ends");
}

/* Clients round the range of an allocation out to whole pages. */
static void mode_rounding(void)
{
	static const size_t sizes[] = { 8, 5000, 5 * GPU_PAGE + 100 };
	static char host[6 * GPU_PAGE], seen[6 * GPU_PAGE];

	gdr_start();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t gap = t_lib_alloc(3000), mine = t_lib_alloc(sizes[i]);
		uint64_t behind = t_lib_alloc(8000);
		uint64_t start = mine & ~(GPU_PAGE - 1);
		uint64_t end = (mine + sizes[i] + GPU_PAGE - 1) &
			       ~(GPU_PAGE - 1);

		for (int round = 0; round < 2; round++) {
			gdr_mh_t mh = must_pin(start, end - start);
			char *map = must_map(mh, end - start);

			memset(host, 17 + round, sizes[i]);
			check_result(gdr_copy_to_mapping(mh,
							 map + (mine - start),
							 host, sizes[i]),
				     0, "copy of %zu bytes", sizes[i]);
			t_lib_to_host(seen, mine, sizes[i]);
			check(!memcmp(host, seen, sizes[i]),
			      "%zu bytes: CUDA sees other data", sizes[i]);
			if (behind >= start && behind + 8000 <= end)
				copy_beside(mh, map + (behind - start), behind,
					    2000);
			if (!round && gap >= start)
				copy_beside(mh, map + (gap - start), gap, 750);
			check_result(gdr_unpin_buffer(g, mh), 0, "unpin");
			if (!round)
				t_lib_free(gap);
		}
		t_lib_free(mine);
		t_lib_free(behind);
	}
	gdr_end();
}

static void mode_freed(void)
{
	uint64_t addr, other;
	uint32_t value = 0;
	int flag = -1, persistent = 0;
	gdr_mh_t mh;
	void *map;

	gdr_start();
	check_result(gdr_get_attribute(g, GDR_ATTR_USE_PERSISTENT_MAPPING,
				       &persistent),
		     0, "gdr_get_attribute");
	check(persistent == 1, "persistent: %d", persistent);
	addr = t_lib_alloc(4 * MIB);
	mh = must_pin(addr, 4 * MIB);
	map = must_map(mh, 4 * MIB);
	check_result(t_store(map, 0x1234), 0, "store");
	t_lib_free(addr);
	other = t_lib_alloc(4 * MIB);
	check_result(t_load(map, &value), 0, "load after cuMemFree");
	check(value == 0x1234, "0x%x after cuMemFree", value);
	check_result(gdr_get_callback_flag(g, mh, &flag), 0, "callback flag");
	check(!flag, "callback flag %d", flag);
	check_result(gdr_unmap(g, mh, map, 4 * MIB), 0, "gdr_unmap");
	check_result(gdr_unpin_buffer(g, mh), 0, "gdr_unpin_buffer");
	t_lib_free(other);
	gdr_end();
}

static void mode_close(void)
{
	uint32_t value;
	uint64_t addr;
	void *map;

	gdr_start();
	addr = t_lib_alloc(4 * MIB);
	must_pin(addr, GPU_PAGE);
	map = must_map(must_pin(addr, 4 * MIB), 4 * MIB);
	check_result(t_store(map, 1), 0, "store");
	check_result(gdr_close(g), 0, "gdr_close");
	check(t_load(map, &value), "the mapping is there after gdr_close");
	check_result(gdr_close(g), EINVAL, "closed twice");
	t_lib_free(addr);
	t_lib_close(session);
}

struct parents {
	gdr_mh_t mh;
	void *map;
	uint64_t addr;
};

static void in_child(void *arg)
{
	struct parents *p = arg;
	gdr_info_t info;
	uint32_t value;
	gdr_mh_t mh;
	void *map;

	check(t_load(p->map, &value), "the child reads its parent's mapping");
	check_result(gdr_pin_buffer(g, p->addr, GPU_PAGE, 0, 0, &mh), EACCES,
		     "pin in a child");
	check_result(gdr_get_info(g, p->mh, &info), EACCES, "info in a child");
	check_result(gdr_map(g, p->mh, &map, GPU_PAGE), EACCES,
		     "map in a child");
	check_result(gdr_copy_from_mapping(p->mh, &value, p->map, 4), EACCES,
		     "copy in a child");
	check_result(gdr_copy_fence(p->mh, GDR_COPY_FLAG_WRITE_FENCE), EACCES,
		     "fence in a child");
	check_result(gdr_unpin_buffer(g, p->mh), EACCES, "unpin in a child");
	check_result(gdr_close(g), 0, "close in a child");
}

static void mode_fork(void)
{
	struct parents p;
	uint32_t value;
	int inherited = -1;

	gdr_start();
	check_result(gdr_get_attribute(g, GDR_ATTR_VMA_INHERITED_ON_FORK,
				       &inherited),
		     0, "attribute 4");
	check(!inherited, "children inherit mappings, says attribute 4");
	p.addr = t_lib_alloc(4 * MIB);
	p.mh = must_pin(p.addr, GPU_PAGE);
	p.map = must_map(p.mh, GPU_PAGE);
	check_result(t_store(p.map, 77), 0, "store");
	t_child("child", in_child, &p);
	check_result(t_load(p.map, &value), 0, "load after the child");
	check(value == 77, "%u after the child", value);
	check_result(gdr_unpin_buffer(g, p.mh), 0, "unpin after the child");
	t_lib_free(p.addr);
	gdr_end();
}

/* What a stranger gets from the parent: a descriptor and bytes. */
static void stranger(void *arg)
{
	struct {
		int fd;
		char rest[44];
	} forged = { 0 };
	gdr_t made = (gdr_t)&forged;
	int sock = *(int *)arg;
	char bytes[104];
	gdr_mh_t mh, got;
	uint64_t addr;
	void *map;

	t_signals_catch();
	session = t_lib_open(getenv("GPUMEM_BACKEND"));
	addr = t_lib_alloc(4 * MIB);
	forged.fd = t_fd_receive(sock);
	need(forged.fd >= 0, "no descriptor came");
	need(read(sock, &mh, sizeof(mh)) == sizeof(mh) &&
		     read(sock, bytes, sizeof(bytes)) == sizeof(bytes),
	     "no handle came");
	check(gdr_pin_buffer(made, addr, GPU_PAGE, 0, 0, &got),
	      "a stranger pins");
	check(gdr_map(made, mh, &map, GPU_PAGE), "a stranger maps");
	mh.h = (unsigned long)bytes;
	check(gdr_map(made, mh, &map, GPU_PAGE), "a stranger maps a copy");
	/* Through a library of its own, too. */
	g = gdr_open();
	need(g, "gdr_open");
	check(gdr_map(g, mh, &map, GPU_PAGE), "a stranger maps by its own");
	t_lib_free(addr);
	gdr_end();
}

static void mode_stranger(void)
{
	int socks[2];
	uint64_t addr;
	gdr_mh_t mh;
	pid_t pid;

	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, socks), "socketpair");
	pid = t_fork(stranger, &socks[0]);
	gdr_start();
	addr = t_lib_alloc(4 * MIB);
	mh = must_pin(addr, GPU_PAGE);
	check_result(t_fd_send(socks[1], *(int *)g), 0, "send the descriptor");
	need(write(socks[1], &mh, sizeof(mh)) == sizeof(mh) &&
		     write(socks[1], (void *)mh.h, 104) == 104,
	     "send the handle");
	t_join("stranger", pid);
	t_lib_free(addr);
	gdr_end();
}

static void *pin_often(void *arg)
{
	uint64_t addr = *(uint64_t *)arg;
	uint64_t text[64], seen[64];

	for (unsigned int i = 0; i < 100; i++) {
		char *at;
		gdr_mh_t mh;
		void *map;

		if (gdr_pin_buffer(g, addr, GPU_PAGE, 0, 0, &mh) ||
		    gdr_map(g, mh, &map, GPU_PAGE))
			return "pin or map";
		at = (char *)map + i;
		for (unsigned int k = 0; k < 64; k++)
			text[k] = addr + i * k;
		if (gdr_copy_to_mapping(mh, at, text, sizeof(text)) ||
		    gdr_copy_from_mapping(mh, seen, at, sizeof(seen)))
			return "copy";
		if (memcmp(text, seen, sizeof(text)))
			return "other data";
		if (gdr_unpin_buffer(g, mh))
			return "unpin";
	}
	return NULL;
}

static void mode_threads(void)
{
	pthread_t threads[4];
	uint64_t addr, parts[4];

	gdr_start();
	addr = t_lib_alloc(4 * MIB);
	for (int i = 0; i < 4; i++) {
		parts[i] = addr + (uint64_t)i * GPU_PAGE;
		need(!pthread_create(&threads[i], NULL, pin_often, &parts[i]),
		     "pthread_create");
	}
	for (int i = 0; i < 4; i++) {
		void *failed = NULL;

		pthread_join(threads[i], &failed);
		check(!failed, "thread %d: %s", i, (char *)failed);
	}
	t_lib_free(addr);
	gdr_end();
}

int main(int argc, char **argv)
{
	static const struct t_mode modes[] = {
		{ "data", mode_data },	       { "refusals", mode_refusals },
		{ "rounding", mode_rounding }, { "freed", mode_freed },
		{ "close", mode_close },       { "fork", mode_fork },
		{ "stranger", mode_stranger }, { "threads", mode_threads },
	};

	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
