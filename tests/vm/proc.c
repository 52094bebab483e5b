// SPDX-License-Identifier: MIT
/* /proc/gpumem, and the memory type of what is mapped. */
#include "t.h"

#include <grp.h>
#include <pthread.h>
#include <sys/prctl.h>

#define PINS 3

struct listing {
	unsigned int pins; /* of this process */
	unsigned int found; /* that agree with what was pinned */
	unsigned int page_lines, pages_right;
	unsigned int malformed;
	unsigned int hidden; /* without a GPU address */
	unsigned int hidden_mine; /* of these, this process's */
	bool header;
};

struct known {
	struct gpumem_pin pin;
	uint64_t phys[512];
	uint64_t count;
};

static void pages_line_check(const char *line, const struct known *of,
			     struct listing *l)
{
	unsigned long long from, to, at, i;

	l->page_lines++;
	if (sscanf(line, " pages %llu-%llu at 0x%llx", &from, &to, &at) != 3 ||
	    from > to) {
		l->malformed++;
		return;
	}
	for (i = from; of && i <= to && i < of->count; i++)
		l->pages_right += of->phys[i] == at + (i - from) * GPU_PAGE;
}

/* A name that a terminal would obey, that is no UTF-8 and has a blank. */
#define COMM "vm\033[2J\t \xff\x9b\\"
#define COMM_SHOWN "vm\\x1b[2J\\x09\\x20\\xff\\x9b\\x5c"

/* Reads the file and compares it with what this process has pinned. */
static struct listing listing_read(const struct known *known, size_t count)
{
	struct listing l = { 0 };
	const struct known *of = NULL;
	char line[256], comm[64], state[16];
	FILE *f = fopen(GPUMEM_PROC_NODE, "r");

	need(f, "opening " GPUMEM_PROC_NODE ": %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		unsigned long long addr = 0, bytes, pages, size;
		char gpu[32];
		unsigned int pid, maps;
		size_t i;

		if (line[0] == '#') {
			l.header = true;
			continue;
		}
		if (line[0] == ' ') {
			pages_line_check(line, of, &l);
			continue;
		}
		of = NULL;
		if (sscanf(line, "%u %63s %31s %llu %llu %llu %u %15s", &pid,
			   comm, gpu, &bytes, &pages, &size, &maps,
			   state) != 8 ||
		    (strcmp(gpu, "-") && sscanf(gpu, "0x%llx", &addr) != 1) ||
		    (strcmp(state, "live") && strcmp(state, "revoked"))) {
			l.malformed++;
			continue;
		}
		l.hidden += !addr;
		l.hidden_mine += !addr && pid == (unsigned int)getpid();
		if (pid != (unsigned int)getpid())
			continue;
		l.pins++;
		for (i = 0; i < count; i++) {
			const struct gpumem_pin *p = &known[i].pin;

			if (p->addr != addr)
				continue;
			of = &known[i];
			l.found += p->length == bytes &&
				   p->page_count == pages &&
				   p->page_size == size && maps == i &&
				   !strcmp(comm, COMM_SHOWN) &&
				   !strcmp(state, "live");
		}
	}
	fclose(f);
	return l;
}

static void listing_check(bool root)
{
	static struct known known[PINS];
	int emu = emu_open(), fd = gm_open();
	uint64_t pages = 0;
	struct listing l;
	void *at;
	size_t i, k;

	need(!prctl(PR_SET_NAME, COMM), "prctl: %s", strerror(errno));
	for (i = 0; i < PINS; i++) {
		uint64_t length = (i + 1) * 8 * MIB - 12345;

		known[i].pin = gm_must_pin(
			fd, emu_alloc(emu, 32 * MIB) + i * 1000, length);
		known[i].count = 512;
		need(!gm_pages(fd, known[i].pin.pin, 0, known[i].phys,
			       &known[i].count),
		     "PAGES");
		pages += known[i].pin.page_count;
		for (k = 0; k < i; k++)
			need(!gm_map(fd, &known[i].pin, &at), "mmap");
	}
	l = listing_read(known, PINS);
	check(l.header && !l.malformed, "%u malformed lines", l.malformed);
	check(l.pins == PINS, "expected %d pins of this process, found %u",
	      PINS, l.pins);
	check(l.found == PINS, "%u of %d pins are described as they are",
	      l.found, PINS);
	if (root)
		check(l.pages_right == pages,
		      "%u of %llu physical addresses are right", l.pages_right,
		      (unsigned long long)pages);
	else
		check(!l.page_lines,
		      "%u lines of physical addresses for a user",
		      l.page_lines);

	check_result(emu_free(emu, known[1].pin.addr - 1000), 0, "freeing");
	l = listing_read(known, PINS);
	check(l.pins == PINS && l.found == PINS - 1,
	      "after one was revoked: %u pins, %u live ones", l.pins, l.found);
	close(emu);
	/* The mappings hold the file: close alone does not end the pins. */
	for (i = 0; i < PINS; i++)
		check_result(gm_unpin(fd, known[i].pin.pin), 0, "UNPIN");
	l = listing_read(known, PINS);
	check(!l.pins, "after UNPIN: %u pins", l.pins);
	close(fd);
}

static void mode_root(void)
{
	listing_check(true);
}

static void mode_user(void)
{
	check(geteuid(), "this mode is for an ordinary user");
	listing_check(false);
}

#define USER 1000

/* Its own pin has an address; that of the root process has none. */
static void others_user(void *arg)
{
	int emu, fd;
	struct listing l;

	(void)arg;
	need(!setgroups(0, NULL) && !setgid(USER) && !setuid(USER),
	     "becoming an ordinary user: %s", strerror(errno));
	emu = emu_open();
	fd = gm_open();
	gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	l = listing_read(NULL, 0);
	check(!l.malformed && l.pins == 1, "%u malformed lines, %u own pins",
	      l.malformed, l.pins);
	check(l.hidden == 1 && !l.hidden_mine,
	      "a user sees %u lines without an address, %u of them its own",
	      l.hidden, l.hidden_mine);
	close(fd);
	close(emu);
}

struct guest {
	int ready[2], end[2];
};

static void others_guest(void *arg)
{
	struct guest *g = arg;
	char byte;
	int emu, fd;

	need(!setgroups(0, NULL) && !setgid(USER) && !setuid(USER),
	     "becoming an ordinary user: %s", strerror(errno));
	emu = emu_open();
	fd = gm_open();
	gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	need(write(g->ready[1], "", 1) == 1 && read(g->end[0], &byte, 1) == 1,
	     "talking to the parent");
}

/* Who sees whose GPU addresses. */
static void mode_others(void)
{
	int emu = emu_open(), fd = gm_open();
	struct listing l;
	struct guest g;
	pid_t pid;
	char byte;

	gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	t_child("a user", others_user, NULL);
	need(!pipe(g.ready) && !pipe(g.end), "pipe: %s", strerror(errno));
	pid = t_fork(others_guest, &g);
	need(read(g.ready[0], &byte, 1) == 1, "the user did not start");
	l = listing_read(NULL, 0);
	check(!l.hidden && !l.malformed && l.pins == 1,
	      "root sees %u lines without an address, %u malformed ones",
	      l.hidden, l.malformed);
	need(write(g.end[1], "", 1) == 1, "write");
	t_join("the user", pid);
	close(fd);
	close(emu);
}

static atomic_bool churn_end;
static atomic_uint churned, churn_seen;

static void *churn_run(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	int emu = emu_open(), fd = gm_open();

	while (!atomic_load(&churn_end)) {
		uint64_t addr = emu_alloc(emu, 2 * MIB);
		uint32_t first = gm_must_pin(fd, addr, MIB).pin;
		uint32_t second = gm_must_pin(fd, addr + MIB, 1).pin;

		if (t_random(&state) % 2)
			gm_unpin(fd, first);
		emu_free(emu, addr);
		gm_unpin(fd, first);
		gm_unpin(fd, second);
		atomic_fetch_add(&churned, 1);
	}
	close(fd);
	close(emu);
	return NULL;
}

/* The file can be read while pins come and go. */
static void mode_churn(void)
{
	static const struct t_kind kinds[] = {
		{ "pins made", &churned, 1 },
		{ "pins seen", &churn_seen, 1 },
	};
	uint64_t end = t_now_ms() + 3000;
	pthread_t threads[3];
	unsigned int reads = 0;
	uintptr_t i;

	for (i = 0; i < 3; i++)
		need(!pthread_create(&threads[i], NULL, churn_run, (void *)i),
		     "pthread_create");
	while (t_now_ms() < end ||
	       t_missing(kinds, sizeof(kinds) / sizeof(kinds[0]))) {
		struct listing l = listing_read(NULL, 0);

		check(!l.malformed, "%u malformed lines", l.malformed);
		atomic_fetch_add(&churn_seen, l.pins);
		reads++;
	}
	atomic_store(&churn_end, true);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	printf("%u reads, %u pins made, %u seen\n", reads, churned, churn_seen);
}

/* What the kernel says of [at, at + length): 1 write-combined, 0 otherwise. */
static int pat_is_wc(uint64_t at, uint64_t length)
{
	FILE *f = fopen("/sys/kernel/debug/x86/pat_memtype_list", "r");
	unsigned long long from, to;
	char line[256], type[64];
	int found = 0;

	need(f, "opening pat_memtype_list: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "PAT: [mem 0x%llx-0x%llx] %63s", &from, &to,
			   type) != 3 ||
		    from > at || to < at + length - 1)
			continue;
		found = !strcmp(type, "write-combining");
		if (!check(found, "page %#llx is %s", (unsigned long long)at,
			   type))
			break;
	}
	fclose(f);
	return found;
}

static void mode_pat(void)
{
	int emu = emu_open(), fd = gm_open();
	struct gpumem_pin pin = gm_must_pin(fd, emu_alloc(emu, MIB), MIB);
	uint64_t pages[16], n = 16, i;
	void *at;

	need(!gm_map(fd, &pin, &at) && !t_store(at, 1), "mmap");
	need(!gm_pages(fd, pin.pin, 0, pages, &n), "PAGES");
	for (i = 0; i < n; i++)
		check(pat_is_wc(pages[i], GPU_PAGE),
		      "page %#llx is not reserved write-combining",
		      (unsigned long long)pages[i]);
	munmap(at, MIB);
	close(fd);
	close(emu);
}

static const struct t_mode modes[] = {
	{ "root", mode_root },		{ "user", mode_user },
	{ "others", mode_others },	{ "churn", mode_churn },
	{ "write-combined", mode_pat },
};

int main(int argc, char **argv)
{
	need(argc > 1, "usage: vm-proc MODE");
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
