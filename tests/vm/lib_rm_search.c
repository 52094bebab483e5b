// SPDX-License-Identifier: MIT
/*
 * Memory of cuMemCreate that cannot be exported, which the rm backend looks for
 * among all memory, over the emulated driver.
 */
#include "t_lib.h"
#include "t_vmm.h"

static struct gpumem *session;

/* Memory without a handle type, at an address of its own. */
struct vmm {
	unsigned long long handle;
	uint64_t addr;
	struct gpumem_buf *buf;
	char *cpu;
};

static void check_nothing_left(const char *when)
{
	struct gpumem_emu_counters c = emu_counters();

	check(!c.rm_objects && !c.rm_maps && !c.rm_clients,
	      "%s: %llu clients, %llu objects, %llu mappings are left", when,
	      (unsigned long long)c.rm_clients,
	      (unsigned long long)c.rm_objects, (unsigned long long)c.rm_maps);
}

static struct vmm vmm_new(size_t length)
{
	struct vmm vmm = { .handle = vmm_create(length, VMM_NO_HANDLE_TYPE),
			   .addr = vmm_reserve(length) };

	vmm_map(vmm.addr, length, vmm.handle);
	return vmm;
}

static void vmm_pin(struct vmm *vmm, uint64_t offset, uint64_t length,
		    unsigned int flags)
{
	void *cpu = NULL;

	vmm->buf = t_lib_pin(session, vmm->addr + offset, length, flags);
	t_lib_ok(gpumem_map(vmm->buf, &cpu), "gpumem_map");
	need(cpu, "no address");
	vmm->cpu = cpu;
}

static void vmm_unpin(struct vmm *vmm)
{
	if (vmm->buf)
		t_lib_ok(gpumem_unpin(vmm->buf), "gpumem_unpin");
	vmm->buf = NULL;
}

/* What is pinned is freed first, so that nothing is kept for reuse. */
static void vmm_free(struct vmm *vmm, size_t length)
{
	check(!vmm_cuda.unmap(vmm->addr, length) &&
		      !vmm_cuda.release(vmm->handle),
	      "cuMemUnmap");
	vmm_unpin(vmm);
}

static void vmm_fill_with(const struct vmm *vmm, size_t length, uint8_t byte)
{
	uint8_t *bytes = malloc(length);

	need(bytes, "no memory");
	memset(bytes, byte, length);
	need(!vmm_cuda.to_device(vmm->addr, bytes, length), "cuMemcpyHtoD");
	free(bytes);
}

/* The same bytes in each. */
static void vmm_fill(const struct vmm *vmm, size_t length)
{
	vmm_fill_with(vmm, length, 0xa7);
}

static void vmm_check_filled(const struct vmm *vmm, size_t length,
			     const char *when)
{
	uint8_t *bytes = calloc(1, length);
	size_t i;

	need(bytes, "no memory");
	t_lib_to_host(bytes, vmm->addr, length);
	for (i = 0; i < length && bytes[i] == 0xa7; i++)
		;
	check(i == length, "%s: byte %zu of 0x%llx changed", when, i,
	      (unsigned long long)vmm->addr);
	free(bytes);
}

/* CUDA sees in each what was stored through its own mapping. */
static void vmm_check_apart(struct vmm *vmm, int count, uint32_t seed)
{
	uint32_t found;
	int i;

	for (i = 0; i < count; i++)
		*(volatile uint32_t *)vmm[i].cpu = seed + i;
	__sync_synchronize();
	for (i = 0; i < count; i++) {
		t_lib_to_host(&found, vmm[i].addr, sizeof(found));
		check(found == seed + i, "%d of %d: CUDA sees %#x, not %#x", i,
		      count, found, seed + i);
	}
}

/* Uses up handles of CUDA's: what is allocated next is that far away. */
static void spend_handles(unsigned int count)
{
	unsigned long long handle = vmm_create(2 * MIB, VMM_FD), other;
	unsigned int i;
	int fd;

	need(!vmm_cuda.give(&fd, handle, VMM_FD, 0), "export");
	for (i = 0; i < count; i++)
		need(!vmm_cuda.take(&other, (void *)(intptr_t)fd, VMM_FD) &&
			     !vmm_cuda.release(other),
		     "import");
	close(fd);
	check(!vmm_cuda.release(handle), "cuMemRelease");
}

/* Equal allocations, pinned in every order: writing tells them apart. */
static void mode_orders(void)
{
	static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					 { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	size_t length[3] = { 2 * MIB, 4 * MIB, 2 * MIB };
	struct gpumem_emu_counters c;
	struct vmm vmm[3];
	size_t o;
	int i;

	session = vmm_session_open("rm");
	for (o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
		for (i = 0; i < 3; i++) {
			vmm[i] = vmm_new(length[i]);
			vmm_fill(&vmm[i], length[i]);
		}
		for (i = 0; i < 3; i++)
			vmm_pin(&vmm[orders[o][i]], 0, o % 2 ? 100 : 2 * MIB,
				GPUMEM_PIN_VERIFY_WRITE);
		for (i = 0; i < 3; i++)
			vmm_check_filled(&vmm[i], length[i], "after the pins");
		vmm_check_apart(vmm, 3, 100 * o);
		c = emu_counters();
		check(c.rm_objects == 1 + 3 && c.rm_maps == 3,
		      "%llu objects, %llu mappings",
		      (unsigned long long)c.rm_objects,
		      (unsigned long long)c.rm_maps);
		for (i = 0; i < 3; i++)
			vmm_free(&vmm[i], length[i]);
	}
	t_lib_close(session);
	check_nothing_left("after all orders");
}

static uint64_t trial_writes(void)
{
	struct gpumem_stats stats = { .size = sizeof(stats) };

	t_lib_ok(gpumem_stats_get(session, &stats), "gpumem_stats_get");
	return stats.trial_writes;
}

/* What its contents tell from all other memory of its size is not written. */
static void mode_distinct(void)
{
	struct vmm vmm[3], same[2];
	struct gpumem_buf *buf;
	int i;

	session = vmm_session_open("rm");
	for (i = 0; i < 3; i++) {
		vmm[i] = vmm_new(2 * MIB);
		vmm_fill_with(&vmm[i], 2 * MIB, 0x11 * (i + 1));
	}
	for (i = 2; i >= 0; i--)
		vmm_pin(&vmm[i], 0, 100, i ? 0 : GPUMEM_PIN_NO_TRIAL_WRITE);
	vmm_check_apart(vmm, 3, 42);
	check(!trial_writes(), "%llu trial writes",
	      (unsigned long long)trial_writes());

	/* Two alike: of one that is known the other can be told. */
	for (i = 0; i < 2; i++) {
		same[i] = vmm_new(2 * MIB);
		vmm_fill(&same[i], 2 * MIB);
	}
	t_lib_error(gpumem_pin(session, same[0].addr, 4096, 0, &buf),
		    EOPNOTSUPP, "GPUMEM_PIN_VERIFY_WRITE", "two alike");
	check(!trial_writes(), "a refused pin wrote");
	vmm_pin(&same[0], 0, 4096, GPUMEM_PIN_VERIFY_WRITE);
	check(trial_writes() == 1, "%llu trial writes",
	      (unsigned long long)trial_writes());
	vmm_pin(&same[1], 0, 4096, 0);
	vmm_check_filled(&same[0], 2 * MIB, "two alike");
	vmm_check_filled(&same[1], 2 * MIB, "two alike");
	vmm_check_apart(same, 2, 7);
	for (i = 0; i < 2; i++)
		vmm_free(&same[i], 2 * MIB);
	for (i = 0; i < 3; i++)
		vmm_free(&vmm[i], 2 * MIB);
	t_lib_close(session);
	check_nothing_left("after distinct memory");
}

/* Old and new memory, one at two addresses, among other memory. */
static void mode_ages(void)
{
	struct vmm old[3], twice, second;
	uint64_t plain[20];
	int i, round;

	session = vmm_session_open("rm");
	for (i = 0; i < 3; i++)
		old[i] = vmm_new(2 * MIB);
	t_lib_close(session);

	session = vmm_session_open("rm");
	for (i = 0; i < 20; i++) {
		plain[i] = t_lib_alloc(2 * MIB);
		if (i % 2)
			t_lib_ok(gpumem_unpin(
					 t_lib_pin(session, plain[i], 4096, 0)),
				 "gpumem_unpin");
	}
	for (i = 2; i >= 0; i--)
		vmm_pin(&old[i], 0, 2 * MIB, GPUMEM_PIN_VERIFY_WRITE);
	vmm_check_apart(old, 3, 1);
	/* Anew, near and farther off: handles are given out again. */
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 3; i++) {
			/* In some rounds it is kept beyond its end. */
			if (round % 2)
				vmm_unpin(&old[i]);
			vmm_free(&old[i], 2 * MIB);
		}
		spend_handles(round * 200);
		for (i = 0; i < 3; i++) {
			old[i] = vmm_new(2 * MIB);
			vmm_fill(&old[i], 2 * MIB);
			vmm_pin(&old[i], 0, 2 * MIB, GPUMEM_PIN_VERIFY_WRITE);
		}
		vmm_check_apart(old, 3, 1000 * round);
	}

	twice = second = vmm_new(2 * MIB);
	second.addr = vmm_reserve(2 * MIB);
	vmm_map(second.addr, 2 * MIB, second.handle);
	vmm_pin(&twice, MIB, 3, GPUMEM_PIN_VERIFY_WRITE);
	/* Known by the other address, CUDA's handle tells that it is the same. */
	vmm_fill_with(&twice, 2 * MIB, 0x77);
	vmm_pin(&second, 2 * MIB - 1, 1, 0);
	second.cpu[0] = 0x5a;
	__sync_synchronize();
	t_lib_to_host(&i, twice.addr + 2 * MIB - 4, sizeof(i));
	check((uint32_t)i >> 24 == 0x5a, "two addresses: CUDA sees %#x", i);
	vmm_unpin(&second);
	check(!vmm_cuda.unmap(second.addr, 2 * MIB), "cuMemUnmap");
	vmm_free(&twice, 2 * MIB);

	for (i = 0; i < 3; i++)
		vmm_free(&old[i], 2 * MIB);
	for (i = 0; i < 20; i++)
		t_lib_free(plain[i]);
	t_lib_close(session);
	check_nothing_left("after all ages");
}

/* What is not found, with the memory left as it was. */
static void mode_refused(void)
{
	struct vmm_access read_only = { VMM_DEVICE, 0, VMM_READ };
	struct gpumem_buf *buf;
	struct vmm vmm;

	session = vmm_session_open("rm");
	vmm = vmm_new(2 * MIB);
	vmm_fill(&vmm, 2 * MIB);
	check(!vmm_cuda.access(vmm.addr, 2 * MIB, &read_only, 1),
	      "cuMemSetAccess");
	t_lib_error(gpumem_pin(session, vmm.addr, 4096, GPUMEM_PIN_VERIFY_WRITE,
			       &buf),
		    EIO, "cuMemSetAccess", "memory that cannot be written");
	vmm_check_filled(&vmm, 2 * MIB, "refused");
	/* To read it is enough. */
	vmm_pin(&vmm, 0, 4096, 0);
	vmm_free(&vmm, 2 * MIB);

	/* Too far from what was known when the session was opened. */
	spend_handles(5000);
	vmm = vmm_new(2 * MIB);
	vmm_fill(&vmm, 2 * MIB);
	t_lib_error(gpumem_pin(session, vmm.addr, 4096, 0, &buf), EOPNOTSUPP,
		    "CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR", "too far");
	printf("%s\n", gpumem_last_error());
	t_lib_error(gpumem_pin(session, vmm.addr, 4096, GPUMEM_PIN_VERIFY_WRITE,
			       &buf),
		    EOPNOTSUPP, "CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR",
		    "too far");
	vmm_check_filled(&vmm, 2 * MIB, "not found");
	vmm_free(&vmm, 2 * MIB);
	t_lib_close(session);
	check_nothing_left("after refusals");
}

/* A forked child can end its copy; the parent's mapping lives on. */
static void mode_fork(void)
{
	struct vmm vmm[2];
	int status, i;
	pid_t pid;

	session = vmm_session_open("rm");
	for (i = 0; i < 2; i++)
		vmm[i] = vmm_new(2 * MIB);
	vmm_pin(&vmm[0], 0, MIB, GPUMEM_PIN_VERIFY_WRITE);
	fflush(stdout);
	pid = fork();
	need(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		uint32_t value;

		if (!t_load(vmm[0].cpu, &value))
			_exit(1);
		if (gpumem_unpin(vmm[0].buf) != -EPERM)
			_exit(2);
		_exit(gpumem_close(session) ? 3 : 0);
	}
	need(waitpid(pid, &status, 0) == pid, "waitpid");
	check(WIFEXITED(status) && !WEXITSTATUS(status), "the child: %#x",
	      (unsigned int)status);
	vmm_pin(&vmm[1], 0, MIB, 0);
	vmm_check_apart(vmm, 2, 0xF0);
	for (i = 0; i < 2; i++)
		vmm_free(&vmm[i], 2 * MIB);
	t_lib_close(session);
	check_nothing_left("after the child's end");
}

static void set_bar1(const char *value)
{
	int fd = open("/sys/module/gpumem_emu/parameters/bar1_size",
		      O_WRONLY | O_CLOEXEC);

	need(fd >= 0 && write(fd, value, strlen(value)) > 0, "bar1_size: %s",
	     strerror(errno));
	close(fd);
}

/* No BAR1 for a page; the case puts it back. */
static void mode_full(void)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "rm" };
	struct gpumem *other;
	struct gpumem_buf *buf;
	struct vmm vmm;

	session = vmm_session_open("rm");
	vmm = vmm_new(2 * MIB);
	vmm_fill(&vmm, 2 * MIB);
	set_bar1("1");
	t_lib_error(gpumem_pin(session, vmm.addr, 4096, 0, &buf), ENOMEM,
		    "not enough BAR1", "no BAR1");
	vmm_check_filled(&vmm, 2 * MIB, "no BAR1");
	t_lib_error(gpumem_open(&options, &other), ENOMEM, "BAR1",
		    "a session without BAR1");
	vmm_free(&vmm, 2 * MIB);
	t_lib_close(session);
	check_nothing_left("after it found no BAR1");
}

/*
 * CUDA's records name the object, where they are as on the driver: equal memory is
 * told apart, however far off, and nothing is written.
 */
static void mode_record(void)
{
	const size_t length[] = { 2 * MIB, 4 * MIB, 2 * MIB, 2 * MIB };
	struct vmm vmm[4];
	int i;

	session = vmm_session_open("rm");
	for (i = 0; i < 4; i++) {
		if (i == 3)
			spend_handles(5000);
		vmm[i] = vmm_new(length[i]);
		vmm_fill(&vmm[i], length[i]);
	}
	for (i = 3; i >= 0; i--)
		vmm_pin(&vmm[i], i * 100, i % 2 ? 100 : MIB,
			i % 2 ? GPUMEM_PIN_VERIFY_WRITE : 0);
	check(!trial_writes(), "%llu trial writes",
	      (unsigned long long)trial_writes());
	for (i = 0; i < 4; i++)
		vmm_check_filled(&vmm[i], length[i], "by its record");
	for (i = 0; i < 4; i++) {
		uint32_t found;

		*(volatile uint32_t *)vmm[i].cpu = 0xace + i;
		__sync_synchronize();
		t_lib_to_host(&found, vmm[i].addr + i * 100, sizeof(found));
		check(found == 0xaceu + i, "%d: CUDA sees %#x", i, found);
	}
	for (i = 0; i < 4; i++)
		vmm_free(&vmm[i], length[i]);
	t_lib_close(session);
	check_nothing_left("after records");
}

/* Records that name the newest memory, whose they ever are, are not believed. */
static void mode_newest(void)
{
	struct vmm vmm[2];
	struct gpumem_buf *buf;
	int i;

	session = vmm_session_open("rm");
	for (i = 0; i < 2; i++) {
		vmm[i] = vmm_new(2 * MIB);
		vmm_fill(&vmm[i], 2 * MIB);
	}
	for (i = 0; i < 2; i++)
		t_lib_error(gpumem_pin(session, vmm[i].addr, 4096, 0, &buf),
			    EOPNOTSUPP, "GPUMEM_PIN_VERIFY_WRITE",
			    "records that lie");
	for (i = 0; i < 2; i++)
		vmm_free(&vmm[i], 2 * MIB);
	t_lib_close(session);
	check_nothing_left("after records that lie");
}

static const struct t_mode modes[] = {
	{ "orders", mode_orders }, { "distinct", mode_distinct },
	{ "ages", mode_ages },	   { "refused", mode_refused },
	{ "fork", mode_fork },	   { "full", mode_full },
	{ "record", mode_record }, { "newest", mode_newest },
};

int main(int argc, char **argv)
{
	return t_main(argc, argv, modes, sizeof(modes) / sizeof(modes[0]));
}
