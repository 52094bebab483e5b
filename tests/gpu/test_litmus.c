// SPDX-License-Identifier: MIT
/*
 * Flags and data between the CPU and a running kernel, many times over: who
 * sees a flag sees what was written before it. Exits as test_gpu does.
 *
 *   test_litmus [--backend NAME] [--rounds N]
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gpu.h"

#define WORDS_MAX 1024u
#define FLAG_AT 64u
#define DATA_AT 4096u
#define RESULT_AT 16384u
#define BUFFER 32768u
#define LIFE_NS 20000000000ull /* a kernel ends after so long in any case */

/*
 * One warp. publish: each lane polls the flag, and from each new value on all
 * of its words of data must be at least that value, since the CPU only counts
 * up. result: how often one was not, and how many values lane 0 saw.
 *
 * produce: lane 0 counts up by itself: all words of data, then, released at
 * system scope, the flag. It waits for the CPU every `burst` values, so that
 * the CPU gets to see many different ones.
 */
static const char ptx[] =
	".version 6.0\n"
	".target sm_70\n"
	".address_size 64\n"
	".visible .entry litmus_publish(\n"
	"	.param .u64 flag, .param .u64 data, .param .u64 result,\n"
	"	.param .u32 words, .param .u32 first, .param .u32 last,\n"
	"	.param .u64 life)\n"
	"{\n"
	"	.reg .b64 %flag, %data, %result, %now, %end, %life, %at;\n"
	"	.reg .b32 %words, %last, %seen, %value, %left, %lane, %i, %d;\n"
	"	.reg .b32 %bad, %rounds, %word;\n"
	"	.reg .pred %p;\n"
	"	ld.param.u64 %flag, [flag];\n"
	"	ld.param.u64 %data, [data];\n"
	"	ld.param.u64 %result, [result];\n"
	"	ld.param.u32 %words, [words];\n"
	"	ld.param.u32 %seen, [first];\n"
	"	ld.param.u32 %last, [last];\n"
	"	ld.param.u64 %life, [life];\n"
	"	mov.u32 %lane, %tid.x;\n"
	"	mov.u64 %now, %globaltimer;\n"
	"	add.u64 %end, %now, %life;\n"
	"	mov.u32 %bad, 0;\n"
	"	mov.u32 %rounds, 0;\n"
	"again:\n"
	"	mov.u32 %left, 256;\n"
	"poll:\n"
	"	ld.acquire.sys.global.u32 %value, [%flag];\n"
	"	setp.eq.u32 %p, %value, %seen;\n"
	"	@%p bra next;\n"
	"	mov.u32 %seen, %value;\n"
	"	add.u32 %rounds, %rounds, 1;\n"
	"	mov.u32 %i, %lane;\n"
	"check:\n"
	"	setp.ge.u32 %p, %i, %words;\n"
	"	@%p bra checked;\n"
	"	mul.wide.u32 %at, %i, 4;\n"
	"	add.u64 %at, %at, %data;\n"
	"	ld.relaxed.sys.global.u32 %word, [%at];\n"
	"	sub.u32 %d, %word, %value;\n"
	"	setp.lt.s32 %p, %d, 0;\n"
	"	@%p add.u32 %bad, %bad, 1;\n"
	"	add.u32 %i, %i, 32;\n"
	"	bra check;\n"
	"checked:\n"
	"	setp.eq.u32 %p, %value, %last;\n"
	"	@%p bra done;\n"
	"next:\n"
	"	sub.u32 %left, %left, 1;\n"
	"	setp.ne.u32 %p, %left, 0;\n"
	"	@%p bra poll;\n"
	"	mov.u64 %now, %globaltimer;\n"
	"	setp.lt.u64 %p, %now, %end;\n"
	"	@%p bra again;\n"
	"done:\n"
	"	red.global.add.u32 [%result], %bad;\n"
	"	setp.ne.u32 %p, %lane, 0;\n"
	"	@%p bra out;\n"
	"	red.global.add.u32 [%result+4], %rounds;\n"
	"	st.global.u32 [%result+8], %seen;\n"
	"out:\n"
	"	ret;\n"
	"}\n"
	".visible .entry litmus_produce(\n"
	"	.param .u64 flag, .param .u64 data, .param .u64 ack,\n"
	"	.param .u32 words, .param .u32 first, .param .u32 last,\n"
	"	.param .u32 burst, .param .u64 life)\n"
	"{\n"
	"	.reg .b64 %flag, %data, %ack, %now, %end, %life, %at;\n"
	"	.reg .b32 %words, %last, %value, %i, %burst, %seen, %d;\n"
	"	.reg .pred %p;\n"
	"	ld.param.u64 %flag, [flag];\n"
	"	ld.param.u64 %data, [data];\n"
	"	ld.param.u64 %ack, [ack];\n"
	"	ld.param.u32 %words, [words];\n"
	"	ld.param.u32 %value, [first];\n"
	"	ld.param.u32 %last, [last];\n"
	"	ld.param.u32 %burst, [burst];\n"
	"	ld.param.u64 %life, [life];\n"
	"	mov.u64 %now, %globaltimer;\n"
	"	add.u64 %end, %now, %life;\n"
	"round:\n"
	"	add.u32 %value, %value, 1;\n"
	"	mov.u32 %i, 0;\n"
	"fill:\n"
	"	mul.wide.u32 %at, %i, 4;\n"
	"	add.u64 %at, %at, %data;\n"
	"	st.global.u32 [%at], %value;\n"
	"	add.u32 %i, %i, 1;\n"
	"	setp.lt.u32 %p, %i, %words;\n"
	"	@%p bra fill;\n"
	"	fence.acq_rel.sys;\n"
	"	st.relaxed.sys.global.u32 [%flag], %value;\n"
	"wait:\n"
	"	mov.u64 %now, %globaltimer;\n"
	"	setp.ge.u64 %p, %now, %end;\n"
	"	@%p bra done;\n"
	"	ld.acquire.sys.global.u32 %seen, [%ack];\n"
	"	sub.u32 %d, %value, %seen;\n"
	"	setp.ge.s32 %p, %d, %burst;\n"
	"	@%p bra wait;\n"
	"	setp.ne.u32 %p, %value, %last;\n"
	"	@%p bra round;\n"
	"done:\n"
	"	ret;\n"
	"}\n";

static struct {
	void *module, *stream, *publish, *produce;
	int (*launch)(void *function, unsigned int grid_x, unsigned int grid_y,
		      unsigned int grid_z, unsigned int block_x,
		      unsigned int block_y, unsigned int block_z,
		      unsigned int shared, void *stream, void **parameters,
		      void **extra);
	int (*synchronize)(void *stream);
	struct gpumem_buf *buf;
	uint64_t addr;
} litmus;

static uint64_t rounds = 10000000;

static enum outcome litmus_open(void)
{
	int (*load)(void **module, const void *image) =
		gpu_symbol("cuModuleLoadData");
	int (*get)(void **function, void *module, const char *name) =
		gpu_symbol("cuModuleGetFunction");
	int (*stream_create)(void **stream, unsigned int flags) =
		gpu_symbol("cuStreamCreate");
	struct gpumem_buf_info info = { .size = sizeof(info) };
	void *map;

	litmus.launch = gpu_symbol("cuLaunchKernel");
	litmus.synchronize = gpu_symbol("cuStreamSynchronize");
	if (gpu.device.flags & GPUMEM_DEVICE_SIMULATED || !load || !get ||
	    !stream_create || !litmus.launch || !litmus.synchronize ||
	    load(&litmus.module, ptx))
		return test_skip("%s runs no kernels", gpu.device.name);
	CHECK_CUDA(get(&litmus.publish, litmus.module, "litmus_publish"));
	CHECK_CUDA(get(&litmus.produce, litmus.module, "litmus_produce"));
	CHECK_CUDA(stream_create(&litmus.stream, 1));
	CHECK_OK(gpumem_alloc(gpu.session, BUFFER, 0, &litmus.buf));
	CHECK_OK(gpumem_map(litmus.buf, &map));
	CHECK_OK(gpumem_buf_get(litmus.buf, &info));
	litmus.addr = info.addr;
	return PASSED;
}

static enum outcome litmus_clear(void)
{
	CHECK_CUDA(gpu.cuda.memset_d8(litmus.addr, 0, BUFFER));
	CHECK_CUDA(gpu.cuda.context_synchronize());
	return PASSED;
}

/* One size of data: the CPU publishes as fast as it can. */
static enum outcome publish_words(uint32_t words, uint32_t count,
				  uint64_t *seen)
{
	uint64_t flag = litmus.addr + FLAG_AT, data = litmus.addr + DATA_AT;
	uint64_t result = litmus.addr + RESULT_AT, life = LIFE_NS;
	uint32_t first = 0, last = count, out[3], values[WORDS_MAX];
	void *parameters[] = { &flag,  &data, &result, &words,
			       &first, &last, &life };

	CHECK_PASSED(litmus_clear());
	CHECK_CUDA(litmus.launch(litmus.publish, 1, 1, 1, 32, 1, 1, 0,
				 litmus.stream, parameters, NULL));
	for (uint32_t i = 1; i <= count; i++) {
		for (uint32_t k = 0; k < words; k++)
			values[k] = i;
		CHECK_OK(gpumem_publish(litmus.buf, DATA_AT, values,
					words * sizeof(values[0]), FLAG_AT, i));
	}
	CHECK_CUDA(litmus.synchronize(litmus.stream));
	CHECK_CUDA(gpu.cuda.copy_from_gpu(out, result, sizeof(out)));
	if (out[0])
		return test_fail(__FILE__, __LINE__,
				 "%" PRIu32 " words were older than the flag, "
				 "of %" PRIu32 " rounds with %" PRIu32 " words",
				 out[0], count, words);
	if (out[2] != count)
		return test_fail(__FILE__, __LINE__,
				 "the kernel saw the flag %" PRIu32
				 " last, not "
				 "%" PRIu32,
				 out[2], count);
	*seen += out[1];
	return PASSED;
}

static enum outcome test_publish(void)
{
	static const uint32_t sizes[] = { 1, 15, 16, 17, 64, 256, 1024 };
	const uint32_t n = sizeof(sizes) / sizeof(sizes[0]);
	uint64_t seen = 0;

	for (uint32_t i = 0; i < n; i++)
		CHECK_PASSED(publish_words(
			sizes[i], (uint32_t)((rounds + n - 1) / n), &seen));
	printf("# %" PRIu64 " rounds published, the kernel looked at %" PRIu64
	       " of them\n",
	       rounds, seen);
	return PASSED;
}

/* The kernel counts, the CPU looks: never at data older than the flag. */
static enum outcome consume_words(uint32_t words, uint32_t count,
				  uint64_t *looks)
{
	uint64_t flag = litmus.addr + FLAG_AT, data = litmus.addr + DATA_AT;
	uint64_t ack = litmus.addr + RESULT_AT, life = LIFE_NS;
	uint32_t first = 0, last = count, burst = 16, seen = 0;
	time_t end = time(NULL) + LIFE_NS / 1000000000 + 5;
	uint32_t values[WORDS_MAX];
	void *parameters[] = { &flag,  &data, &ack,   &words,
			       &first, &last, &burst, &life };

	CHECK_PASSED(litmus_clear());
	CHECK_CUDA(litmus.launch(litmus.produce, 1, 1, 1, 1, 1, 1, 0,
				 litmus.stream, parameters, NULL));
	while (seen != last) {
		/* The kernel has ended by then. */
		if (time(NULL) > end)
			return test_fail(__FILE__, __LINE__,
					 "the flag stays at %" PRIu32
					 " and never gets to %" PRIu32,
					 seen, last);
		CHECK_OK(gpumem_read(litmus.buf, FLAG_AT, &seen, sizeof(seen)));
		CHECK_OK(gpumem_read(litmus.buf, DATA_AT, values,
				     words * sizeof(values[0])));
		for (uint32_t k = 0; k < words; k++)
			if ((int32_t)(values[k] - seen) < 0)
				return test_fail(__FILE__, __LINE__,
						 "word %" PRIu32 " is %" PRIu32
						 " behind the flag %" PRIu32,
						 k, values[k], seen);
		CHECK_OK(gpumem_doorbell(litmus.buf, RESULT_AT, seen, 4));
		++*looks;
	}
	CHECK_CUDA(litmus.synchronize(litmus.stream));
	return PASSED;
}

static enum outcome test_consume(void)
{
	static const uint32_t sizes[] = { 1, 16, 17, 256, 1024 };
	const uint32_t n = sizeof(sizes) / sizeof(sizes[0]);
	uint64_t looks = 0;

	for (uint32_t i = 0; i < n; i++)
		CHECK_PASSED(consume_words(
			sizes[i], (uint32_t)(rounds / 10 / n + 1), &looks));
	printf("# the CPU looked %" PRIu64 " times while the kernel counted to "
	       "%" PRIu64 "\n",
	       looks, rounds / 10);
	return PASSED;
}

/* The calls of the API themselves, to and fro. */
static enum outcome test_exchange(void)
{
	uint64_t flag = litmus.addr + FLAG_AT, data = litmus.addr + DATA_AT;
	uint64_t ack = litmus.addr + RESULT_AT, life = LIFE_NS;
	uint32_t words = 64, first = 0, last = 10000, burst = 1;
	uint32_t values[64];
	void *parameters[] = { &flag,  &data, &ack,   &words,
			       &first, &last, &burst, &life };

	CHECK_PASSED(litmus_clear());
	CHECK_CUDA(litmus.launch(litmus.produce, 1, 1, 1, 1, 1, 1, 0,
				 litmus.stream, parameters, NULL));
	for (uint32_t i = 1; i <= last; i++) {
		CHECK_OK(gpumem_consume(litmus.buf, FLAG_AT, i, 1000000,
					DATA_AT, values, sizeof(values)));
		for (uint32_t k = 0; k < words; k++)
			CHECK(values[k] == i);
		CHECK_OK(gpumem_doorbell(litmus.buf, RESULT_AT, i, 4));
	}
	CHECK_CUDA(litmus.synchronize(litmus.stream));
	CHECK_GIVES(-110, gpumem_consume(litmus.buf, FLAG_AT, last + 1, 100,
					 DATA_AT, values, sizeof(values)));
	return PASSED;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "rounds", required_argument, NULL, 'r' },
		{ 0 },
	};
	static const struct test tests[] = {
		{ "a running kernel sees no flag before its data",
		  test_publish },
		{ "the CPU sees no flag of a kernel before its data",
		  test_consume },
		{ "publish and consume to and fro", test_exchange },
	};
	static const char *const words[] = { "ok", "not ok", "skip" };
	unsigned int count[3] = { 0 };
	const char *backend = NULL;
	enum outcome opened;
	int option, status;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) !=
	       -1) {
		if (option == 'b')
			backend = optarg;
		else if (option == 'r')
			rounds = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	status = gpu_open(backend);
	if (status)
		return status;
	opened = litmus_open();
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		enum outcome outcome = opened;

		if (opened == PASSED)
			outcome = tests[i].run();
		printf("%s - %s%s%s\n", words[outcome], tests[i].name,
		       outcome == PASSED ? "" : ": ",
		       outcome == PASSED ? "" : test_why);
		fflush(stdout);
		count[outcome]++;
	}
	printf("%u passed, %u failed, %u skipped\n", count[PASSED],
	       count[FAILED], count[SKIPPED]);
	gpumem_close(gpu.session);
	return count[FAILED] ? EXIT_FAILURE : EXIT_SUCCESS;
}
