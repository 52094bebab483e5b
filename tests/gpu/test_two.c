// SPDX-License-Identifier: MIT
/*
 * Two GPUs in one process: the right one each time, however it is named, and
 * memory of the other one refused. Exits as test_gpu does; 77 with one GPU.
 *
 *   test_two [--backend NAME] [--seed N]
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "two.h"
#include "vmm.h"

#define CYCLES 200
#define CYCLE_MAX 2000000
#define MIB (1ull << 20)

struct two_side two_sides[2];
const char *two_backend;

static enum outcome enter(const struct two_side *side)
{
	CHECK_CUDA(gpu.cuda.context_set_current(side->cuda.context));
	return PASSED;
}

static enum outcome read_uuid(struct two_side *side)
{
	int (*get)(uint8_t *, int) = gpu_symbol("cuDeviceGetUuid_v2");
	uint8_t bytes[16];
	char *at = side->uuid;

	CHECK(get);
	CHECK_CUDA(get(bytes, side->cuda.device));
	at += sprintf(at, "GPU");
	for (int i = 0; i < 16; i++)
		at += sprintf(at, "%s%02x",
			      i == 0 || i == 4 || i == 6 || i == 8 || i == 10
				      ? "-"
				      : "",
			      bytes[i]);
	return PASSED;
}

static enum outcome side_open(struct two_side *side, int ordinal)
{
	struct gpumem_options options = {
		.size = sizeof(options),
		.backend = two_backend,
		.device = ordinal,
	};

	CHECK_OK(gpumem_open(&options, &side->session));
	side->device.size = sizeof(side->device);
	CHECK_OK(gpumem_device_get(side->session, -1, &side->device));
	if (cuda_open(&side->cuda, side->session, ordinal))
		return test_fail(__FILE__, __LINE__, "%s", side->cuda.why);
	CHECK_PASSED(read_uuid(side));
	printf("# GPU %d: %s, %s, %s\n", side->device.ordinal,
	       side->device.name, side->device.pci, side->uuid);
	return PASSED;
}

static enum outcome test_open(void)
{
	for (int i = 0; i < 2; i++) {
		CHECK_PASSED(side_open(&two_sides[i], i));
		CHECK(two_sides[i].device.ordinal == i);
	}
	CHECK(strcmp(two_sides[0].uuid, two_sides[1].uuid));
	CHECK(strcmp(two_sides[0].device.pci, two_sides[1].device.pci));
	return PASSED;
}

/* A session opened by a name is on this GPU, and so is what it allocates. */
static enum outcome check_named(const char *name, const struct two_side *side)
{
	struct gpumem_options options = {
		.size = sizeof(options),
		.backend = two_backend,
		.device_id = name,
	};
	struct gpumem_device device = { .size = sizeof(device) };
	struct gpumem_buf_info info = { .size = sizeof(info) };
	struct gpumem *session;
	struct gpumem_buf *buf;
	void *cpu;

	CHECK_OK(gpumem_open(&options, &session));
	CHECK_OK(gpumem_device_get(session, -1, &device));
	CHECK(device.ordinal == side->device.ordinal);
	CHECK(!strcmp(device.pci, side->device.pci));
	CHECK_OK(gpumem_alloc(session, TWO_LENGTH, 0, &buf));
	CHECK_OK(gpumem_buf_get(buf, &info));
	CHECK_OK(gpumem_map(buf, &cpu));
	pattern_store(cpu, TWO_LENGTH, 70 + device.ordinal);
	CHECK_PASSED(enter(side));
	CHECK_PASSED(
		pattern_check_gpu(info.addr, TWO_LENGTH, 70 + device.ordinal));
	CHECK_OK(gpumem_close(session));
	return PASSED;
}

static enum outcome test_names(void)
{
	for (int i = 1; i >= 0; i--) {
		CHECK_PASSED(
			check_named(two_sides[i].device.pci, &two_sides[i]));
		CHECK_PASSED(check_named(two_sides[i].uuid, &two_sides[i]));
	}
	return PASSED;
}

static enum outcome side_alloc(struct two_side *side)
{
	CHECK_PASSED(enter(side));
	CHECK_CUDA(gpu.cuda.mem_alloc(&side->addr, TWO_LENGTH + 77));
	side->addr += 77;
	return PASSED;
}

static enum outcome side_free(struct two_side *side)
{
	CHECK_PASSED(enter(side));
	CHECK_CUDA(gpu.cuda.mem_free(side->addr - 77));
	return PASSED;
}

/* Whose memory it is, without a session and without a context. */
static enum outcome check_device_of(const struct two_side *side)
{
	int ordinal = -1;

	CHECK_CUDA(gpu.cuda.context_set_current(NULL));
	CHECK_OK(gpumem_device_of(side->addr, &ordinal));
	CHECK(ordinal == side->device.ordinal);
	return PASSED;
}

/*
 * Both at once from one thread, and never with the context of the GPU whose
 * memory is worked on: pin, map and the CPU's access do not depend on it.
 */
static enum outcome test_at_once(void)
{
	void *cpu[2];

	for (int i = 0; i < 2; i++)
		CHECK_PASSED(side_alloc(&two_sides[i]));
	for (int i = 0; i < 2; i++) {
		CHECK_PASSED(check_device_of(&two_sides[i]));
		CHECK_PASSED(enter(&two_sides[!i]));
		CHECK_OK(gpumem_pin(two_sides[i].session, two_sides[i].addr,
				    TWO_LENGTH, 0, &two_sides[i].buf));
		CHECK_OK(gpumem_map(two_sides[i].buf, &cpu[i]));
	}
	for (int i = 0; i < 2; i++)
		pattern_store(cpu[i], TWO_LENGTH, 20 + i);
	for (int i = 0; i < 2; i++) {
		CHECK_PASSED(enter(&two_sides[i]));
		CHECK_PASSED(pattern_check_gpu(two_sides[i].addr, TWO_LENGTH,
					       20 + i));
		CHECK_PASSED(pattern_copy_to_gpu(two_sides[i].addr, TWO_LENGTH,
						 30 + i));
	}
	for (int i = 0; i < 2; i++)
		CHECK_PASSED(pattern_check(cpu[i], TWO_LENGTH, 30 + i));
	for (int i = 0; i < 2; i++) {
		CHECK_PASSED(enter(&two_sides[!i]));
		CHECK_OK(gpumem_unpin(two_sides[i].buf));
		CHECK_PASSED(side_free(&two_sides[i]));
	}
	return PASSED;
}

static enum outcome cycle(struct two_side *side, uint64_t *random)
{
	uint64_t length = 1 + random_next(random) % CYCLE_MAX;
	uint64_t offset = random_next(random) % 70000;
	uint64_t seed = random_next(random);
	struct gpumem_buf *buf;
	uint64_t base;
	void *cpu;

	CHECK_CUDA(gpu.cuda.mem_alloc(&base, offset + length));
	CHECK_OK(gpumem_pin(side->session, base + offset, length, 0, &buf));
	CHECK_OK(gpumem_map(buf, &cpu));
	pattern_store(cpu, length, seed);
	CHECK_PASSED(pattern_check_gpu(base + offset, length, seed));
	CHECK_OK(gpumem_unpin(buf));
	CHECK_CUDA(gpu.cuda.mem_free(base));
	return PASSED;
}

static enum outcome cycles(struct two_side *side)
{
	uint64_t random = gpu.seed * 1000 + 1 + side->device.ordinal;

	CHECK_PASSED(enter(side));
	for (int i = 0; i < CYCLES; i++)
		CHECK_PASSED(cycle(side, &random));
	return PASSED;
}

static void *cycles_main(void *argument)
{
	struct two_side *side = argument;

	side->outcome = cycles(side);
	memcpy(side->why, test_why, sizeof(test_why));
	return NULL;
}

static enum outcome test_threads(void)
{
	int started = 0;

	for (; started < 2; started++)
		if (pthread_create(&two_sides[started].thread, NULL,
				   cycles_main, &two_sides[started]))
			break;
	for (int i = 0; i < started; i++)
		pthread_join(two_sides[i].thread, NULL);
	CHECK(started == 2);
	for (int i = 0; i < 2; i++) {
		memcpy(test_why, two_sides[i].why, sizeof(test_why));
		CHECK_PASSED(two_sides[i].outcome);
	}
	return PASSED;
}

static enum outcome check_refused(struct two_side *side, uint64_t addr,
				  int error, const char *word)
{
	struct gpumem_buf *buf;

	CHECK_GIVES(error,
		    gpumem_pin(side->session, addr, TWO_LENGTH, 0, &buf));
	if (strstr(gpumem_last_error(), word))
		return PASSED;
	return test_fail(__FILE__, __LINE__, "the message does not say %s: %s",
			 word, gpumem_last_error());
}

static enum outcome test_other_gpu(void)
{
	static const char *const words[] = { "GPU 0", "GPU 1" };

	for (int i = 0; i < 2; i++) {
		CHECK_PASSED(side_alloc(&two_sides[i]));
		for (int j = 0; j < 2; j++) {
			CHECK_PASSED(enter(&two_sides[j]));
			CHECK_PASSED(check_refused(&two_sides[!i],
						   two_sides[i].addr, -EXDEV,
						   words[i]));
		}
		printf("# %s\n", gpumem_last_error());
		CHECK_PASSED(side_free(&two_sides[i]));
	}
	return PASSED;
}

/* cuMemCreate memory of each GPU, and where they meet. */
static enum outcome check_mixed(const struct vmm *vmm)
{
	for (int i = 0; i < 2; i++) {
		uint64_t addr = vmm->addr + (i ? vmm->block[0].size : 0);
		struct gpumem_buf *buf;
		void *cpu;

		CHECK_OK(gpumem_pin(two_sides[i].session, addr, TWO_LENGTH, 0,
				    &buf));
		CHECK_OK(gpumem_map(buf, &cpu));
		pattern_store(cpu, TWO_LENGTH, 40 + i);
		CHECK_PASSED(enter(&two_sides[i]));
		CHECK_PASSED(pattern_check_gpu(addr, TWO_LENGTH, 40 + i));
		CHECK_OK(gpumem_unpin(buf));
		CHECK_PASSED(
			check_refused(&two_sides[!i], addr, -EXDEV, "GPU"));
	}
	return check_refused(&two_sides[0],
			     vmm->addr + vmm->block[0].size - TWO_LENGTH / 2,
			     -ERANGE, "bytes are there");
}

static enum outcome test_vmm(void)
{
	struct vmm vmm = {
		.count = 2,
		.block = { { 2 * MIB, 0 }, { 2 * MIB, 1 } },
	};
	enum outcome outcome;

	if (vmm_open(two_sides[0].session))
		return test_skip("libcuda has no cuMemCreate");
	CHECK_PASSED(enter(&two_sides[0]));
	CHECK_CUDA(vmm_alloc(&vmm, VMM_FD));
	outcome = check_mixed(&vmm);
	CHECK_CUDA(vmm_free(&vmm));
	return outcome;
}

static const struct test tests[] = {
	{ "both GPUs by ordinal", test_open },
	{ "by PCI address and UUID", test_names },
	{ "both at once from one thread, current context the other's",
	  test_at_once },
	{ "both at once from two threads", test_threads },
	{ "memory of the other GPU is refused", test_other_gpu },
	{ "cuMemCreate on both, side by side", test_vmm },
	{ "CUDA_VISIBLE_DEVICES: another order, and hiding", two_test_visible },
	{ 0 },
};

static int count[3]; /* by outcome */

static bool run(const struct test *test)
{
	static const char *const words[] = { "ok", "not ok", "skip" };
	enum outcome outcome;

	printf("# run %s\n", test->name);
	fflush(stdout);
	outcome = test->run();
	count[outcome]++;
	printf("%s - %s%s%s\n", words[outcome], test->name,
	       outcome == PASSED ? "" : ": ",
	       outcome == PASSED ? "" : test_why);
	fflush(stdout);
	return outcome != FAILED;
}

/* 0, or the exit status: the simulated CUDA's GPUs are counted likewise. */
static int check_two(void)
{
	int status, gpus = 0;

	/* One order, whatever the program is started with. */
	setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 1);
	status = gpu_open(two_backend);
	if (status)
		return status;
	if (gpumem_device_count(gpu.session, &gpus)) {
		printf("not ok - count the GPUs: %s\n", gpumem_last_error());
		return EXIT_FAILURE;
	}
	if (gpus < 2) {
		printf("skip - two GPUs in one process: there is %d\n", gpus);
		return EXIT_SKIPPED;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "seed", required_argument, NULL, 's' },
		{ "child", required_argument, NULL, 'c' },
		{ 0 },
	};
	const char *child = NULL;
	int option, status;

	gpu.seed = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'b')
			two_backend = optarg;
		else if (option == 's')
			gpu.seed = strtoull(optarg, NULL, 0);
		else if (option == 'c')
			child = optarg;
		else
			return 2;
	}
	if (child)
		return two_child_main(child);
	status = check_two();
	for (const struct test *test = tests; !status && test->name; test++) {
		if (!run(test) && test == tests)
			break; /* the others need both */
	}
	if (status == EXIT_FAILURE)
		count[FAILED]++;
	if (status == EXIT_SKIPPED)
		count[SKIPPED]++;
	for (int i = 0; i < 2; i++)
		if (two_sides[i].session)
			gpumem_close(two_sides[i].session);
	printf("%d passed, %d failed, %d skipped\n", count[PASSED],
	       count[FAILED], count[SKIPPED]);
	if (status)
		return status;
	return count[FAILED] ? EXIT_FAILURE : EXIT_SUCCESS;
}
