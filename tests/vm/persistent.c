// SPDX-License-Identifier: MIT
/* Persistent pins, and the eventfd of revocable ones. */
#include "t_dmabuf.h"

#include <poll.h>
#include <sys/eventfd.h>

static bool persistent_alive(int fd, const struct gpumem_pin *pin)
{
	struct gpumem_info info;

	check_result(gm_info(fd, pin->pin, &info), 0, "INFO");
	return !(info.flags & GPUMEM_PIN_REVOKED);
}

/* The memory outlives cuMemFree, until the pin ends in one way or another. */
static void persistent_check(bool unpin)
{
	struct gpumem_emu_counters before = emu_counters();
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, 2 * MIB), page, n = 1;
	struct gpumem_pin pin =
		gm_must_pin_flags(fd, addr, MIB, GPUMEM_PIN_PERSISTENT);
	void *at, *late;

	need(!gm_map(fd, &pin, &at), "mmap");
	counter_fill(at, MIB / 8, 0x0A000000);
	check_result(emu_free(emu, addr), 0, "freeing");
	check(emu_counters().callbacks == before.callbacks,
	      "a persistent pin was called back");
	check(persistent_alive(fd, &pin), "INFO says that it was revoked");
	check(emu_counters().free_pages < before.free_pages,
	      "the memory is free");
	counter_check(at, MIB / 8, 0x0A000000, "after freeing");
	counter_fill((char *)at + MIB / 2, MIB / 8, 0x0B000000);
	need(!gm_map(fd, &pin, &late), "mmap after freeing");
	counter_check((char *)late + MIB / 2, MIB / 8, 0x0B000000,
		      "a late mapping");
	check_result(gm_pages(fd, pin.pin, 0, &page, &n), 0, "PAGES");
	/* The CUDA side of the process goes, too. */
	close(emu);
	check(persistent_alive(fd, &pin), "it was revoked with the GPU's file");
	counter_check(late, MIB / 8, 0x0A000000, "after the GPU's file");
	if (unpin) {
		check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
		check(t_load(at, NULL) == SIGBUS, "no SIGBUS after UNPIN");
	}
	close(fd);
	/* The mappings hold the open file. */
	check(emu_counters().pins == !unpin, "%llu pins while mapped",
	      (unsigned long long)emu_counters().pins);
	munmap(at, MIB);
	munmap(late, MIB);
	emu_check_nothing_pinned("after the pin's end");
	emu_check_free_pages(before.free_pages, "after the pin's end");
	check(emu_counters().callbacks == before.callbacks,
	      "a persistent pin was called back");
}

static void killed_run(void *arg)
{
	int emu = emu_open(), fd = gm_open();
	struct gpumem_pin pin = gm_must_pin_flags(fd, emu_alloc(emu, 2 * MIB),
						  MIB, GPUMEM_PIN_PERSISTENT);
	void *at;

	(void)arg;
	need(!gm_map(fd, &pin, &at), "mmap");
	counter_fill(at, 1024, 0);
	raise(SIGKILL);
}

static void mode_persistent(void)
{
	uint64_t free_pages = emu_counters().free_pages;
	int status;
	pid_t pid;

	persistent_check(true);
	persistent_check(false);
	pid = t_fork(killed_run, NULL);
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	      "the victim ended by itself: status %#x", (unsigned int)status);
	emu_check_nothing_pinned("after kill -9");
	emu_check_free_pages(free_pages, "after kill -9");
}

static void mode_flags(void)
{
	int emu = emu_open(), fd = gm_open();
	uint64_t addr = emu_alloc(emu, MIB);
	struct gpumem_pin pin;

	check_result(gm_pin_flags(fd, addr, MIB, GPUMEM_PIN_FORCE_BAR1, 0,
				  &pin),
		     EINVAL, "FORCE_BAR1 alone");
	check_result(gm_pin_flags(fd, addr, MIB,
				  GPUMEM_PIN_FORCE_BAR1 | GPUMEM_PIN_PERSISTENT,
				  0, &pin),
		     EOPNOTSUPP, "FORCE_BAR1 with a driver that has it not");
	check_result(gm_pin_flags(fd, addr, MIB, 1U << 3, 0, &pin), EINVAL,
		     "an unknown flag");
	check_result(gm_pin_flags(fd, addr, MIB, 0, emu, &pin), EINVAL,
		     "an event_fd without its flag");
	check_result(gm_pin_flags(fd, addr, MIB, GPUMEM_PIN_EVENTFD, emu, &pin),
		     EBADF, "an event_fd that is a device");
	check_result(gm_pin_flags(fd, addr, MIB, GPUMEM_PIN_EVENTFD, -1, &pin),
		     EBADF, "event_fd -1");
	check_result(gm_pin_flags(fd, addr, MIB, GPUMEM_PIN_EVENTFD, 1000,
				  &pin),
		     EBADF, "an event_fd that is not open");
	emu_check_nothing_pinned("after what was refused");
	close(fd);
	close(emu);
}

/* Times that the eventfd was signalled since the last look. */
static uint64_t event_count(int event)
{
	uint64_t n;

	return read(event, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static int event_poll(int event)
{
	struct pollfd p = { .fd = event, .events = POLLIN };

	return poll(&p, 1, 0) == 1 ? p.revents : 0;
}

static int event_open(void)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	need(event >= 0, "eventfd: %s", strerror(errno));
	return event;
}

static struct gpumem_pin event_pin(int fd, uint64_t addr, uint32_t flags,
				   int event)
{
	struct gpumem_pin pin;
	int r = gm_pin_flags(fd, addr, MIB, flags | GPUMEM_PIN_EVENTFD, event,
			     &pin);

	need(!r, "PIN with an eventfd: %s", strerror(r));
	return pin;
}

static void mode_eventfd(void)
{
	int emu = emu_open(), fd = gm_open(), event = event_open(), dup_event;
	uint64_t addr = emu_alloc(emu, 2 * MIB), other = emu_alloc(emu, MIB);
	struct gpumem_pin pin = event_pin(fd, addr, 0, event), second;

	check(!event_poll(event), "signalled too early");
	check_result(emu_free(emu, other), 0, "freeing other memory");
	check(!event_poll(event), "signalled for other memory");
	check_result(emu_free(emu, addr), 0, "freeing");
	check(event_poll(event) == POLLIN, "poll() tells nothing");
	check(event_count(event) == 1, "signalled otherwise than once");
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	check(!event_poll(event), "UNPIN signalled once more");

	/* UNPIN and close are the owner's own doing. */
	addr = emu_alloc(emu, 2 * MIB);
	pin = event_pin(fd, addr, 0, event);
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	event_pin(fd, addr, 0, event);
	close(fd);
	check_result(emu_free(emu, addr), 0, "freeing");
	check(!event_poll(event), "UNPIN or close signalled");

	/* Two pins share one, and the descriptor need not stay open. */
	fd = gm_open();
	addr = emu_alloc(emu, 2 * MIB);
	pin = event_pin(fd, addr, 0, event);
	second = event_pin(fd, addr + MIB, 0, event);
	dup_event = dup(event);
	close(event);
	check_result(emu_free(emu, addr), 0, "freeing");
	check(event_count(dup_event) == 2, "two pins, another count");
	check_result(gm_unpin(fd, pin.pin), 0, "UNPIN");
	check_result(gm_unpin(fd, second.pin), 0, "UNPIN");

	/* Nobody is left to see it. */
	addr = emu_alloc(emu, 2 * MIB);
	event = event_open();
	event_pin(fd, addr, 0, event);
	close(event);
	check_result(emu_free(emu, addr), 0, "freeing");

	/* A persistent pin is never revoked; 0 is a descriptor as any other. */
	addr = emu_alloc(emu, 2 * MIB);
	need(dup2(dup_event, 0) == 0, "dup2: %s", strerror(errno));
	event_pin(fd, addr, GPUMEM_PIN_PERSISTENT, 0);
	addr = emu_alloc(emu, 2 * MIB);
	event_pin(fd, addr, 0, 0);
	check_result(emu_free(emu, addr), 0, "freeing");
	check(event_count(0) == 1, "with descriptor 0");
	close(dup_event);
	close(fd);
	close(emu);
	emu_check_nothing_pinned("in the end");
}

/* The other process waits in poll() while the owner's GPU memory goes. */
static void waiter_run(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };

	check(poll(&p, 1, -1) == 1, "poll: %s", strerror(errno));
	check(event_count(p.fd) == 1, "signalled otherwise than once");
}

static bool is_asleep(void *pid)
{
	char path[64], text[256] = "", *state;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", *(pid_t *)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	need(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0, "%s: %s", path,
	     strerror(errno));
	close(fd);
	state = strrchr(text, ')');
	return state && !strncmp(state, ") S", 3);
}

static void mode_poll(void)
{
	int emu = emu_open(), fd = gm_open(), event = event_open();
	uint64_t addr = emu_alloc(emu, 2 * MIB);
	pid_t pid;

	event_pin(fd, addr, 0, event);
	pid = t_fork(waiter_run, &event);
	need(t_wait(is_asleep, &pid), "the waiter does not come to poll()");
	check_result(emu_free(emu, addr), 0, "freeing");
	t_join("the waiter", pid);
	close(event);
	close(fd);
	close(emu);
}

static const struct t_mode modes[] = {
	{ "persistent", mode_persistent },
	{ "flags", mode_flags },
	{ "eventfd", mode_eventfd },
	{ "poll", mode_poll },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
