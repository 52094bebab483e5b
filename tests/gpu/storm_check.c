// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storm_check.h"

#define STEP 0x9e3779b97f4a7c15ull
#define STEP_PTX "0x9e3779b97f4a7c15"
#define THREADS 256
#define BLOCKS 256

/*
 * Counts in *wrong the 8-byte words that differ from first, first + STEP, ...
 * Of the first and the last word the bits in head and tail count.
 */
static const char kernel[] =
	".version 6.0\n"
	".target sm_70\n"
	".address_size 64\n"
	".visible .entry storm_check(\n"
	"	.param .u64 p_words, .param .u64 p_count, .param .u64 p_first,\n"
	"	.param .u64 p_head, .param .u64 p_tail, .param .u64 p_wrong)\n"
	"{\n"
	"	.reg .pred %p<6>;\n"
	"	.reg .b32 %r<5>;\n"
	"	.reg .b64 %x<16>;\n"
	"	ld.param.u64 %x1, [p_words];\n"
	"	ld.param.u64 %x2, [p_count];\n"
	"	ld.param.u64 %x3, [p_first];\n"
	"	ld.param.u64 %x4, [p_head];\n"
	"	ld.param.u64 %x5, [p_tail];\n"
	"	ld.param.u64 %x6, [p_wrong];\n"
	"	cvta.to.global.u64 %x1, %x1;\n"
	"	cvta.to.global.u64 %x6, %x6;\n"
	"	mov.u32 %r1, %ctaid.x;\n"
	"	mov.u32 %r2, %ntid.x;\n"
	"	mov.u32 %r3, %tid.x;\n"
	"	mov.u32 %r4, %nctaid.x;\n"
	"	mul.wide.u32 %x7, %r1, %r2;\n"
	"	cvt.u64.u32 %x8, %r3;\n"
	"	add.u64 %x7, %x7, %x8;\n"
	"	mul.wide.u32 %x9, %r2, %r4;\n"
	"	sub.u64 %x10, %x2, 1;\n"
	"	mov.u64 %x11, 0;\n"
	"next:\n"
	"	setp.ge.u64 %p1, %x7, %x2;\n"
	"	@%p1 bra done;\n"
	"	shl.b64 %x12, %x7, 3;\n"
	"	add.u64 %x12, %x1, %x12;\n"
	"	ld.global.u64 %x13, [%x12];\n"
	"	mul.lo.u64 %x14, %x7, " STEP_PTX ";\n"
	"	add.u64 %x14, %x14, %x3;\n"
	"	xor.b64 %x13, %x13, %x14;\n"
	"	setp.eq.u64 %p2, %x7, 0;\n"
	"	@%p2 and.b64 %x13, %x13, %x4;\n"
	"	setp.eq.u64 %p3, %x7, %x10;\n"
	"	@%p3 and.b64 %x13, %x13, %x5;\n"
	"	setp.ne.u64 %p4, %x13, 0;\n"
	"	@%p4 add.u64 %x11, %x11, 1;\n"
	"	add.u64 %x7, %x7, %x9;\n"
	"	bra next;\n"
	"done:\n"
	"	setp.eq.u64 %p5, %x11, 0;\n"
	"	@%p5 bra end;\n"
	"	red.global.add.u64 [%x6], %x11;\n"
	"end:\n"
	"	ret;\n"
	"}\n";

static struct {
	int (*stream_create)(void **stream, unsigned int flags);
	int (*stream_destroy)(void *stream);
	int (*stream_synchronize)(void *stream);
	int (*copy_from_gpu)(void *to, uint64_t addr, size_t length,
			     void *stream);
	int (*copy_to_gpu)(uint64_t addr, const void *from, size_t length,
			   void *stream);
	int (*module_load)(void **module, const void *image);
	int (*module_function)(void **function, void *module, const char *name);
	int (*launch)(void *function, unsigned int grid_x, unsigned int grid_y,
		      unsigned int grid_z, unsigned int block_x,
		      unsigned int block_y, unsigned int block_z,
		      unsigned int shared, void *stream, void **parameters,
		      void **extra);
	void *function; /* NULL: no kernel runs here */
	char how[160];
} cu;

static const struct {
	const char *name;
	void *function;
	bool required;
} functions[] = {
	{ "cuStreamCreate", &cu.stream_create, true },
	{ "cuStreamDestroy_v2", &cu.stream_destroy, true },
	{ "cuStreamSynchronize", &cu.stream_synchronize, true },
	{ "cuMemcpyDtoHAsync_v2", &cu.copy_from_gpu, true },
	{ "cuMemcpyHtoDAsync_v2", &cu.copy_to_gpu, true },
	{ "cuModuleLoadData", &cu.module_load, false },
	{ "cuModuleGetFunction", &cu.module_function, false },
	{ "cuLaunchKernel", &cu.launch, false },
};

static void kernel_load(void)
{
	char text[96];
	void *module;
	int result;

	if (!cu.module_load || !cu.module_function || !cu.launch) {
		snprintf(cu.how, sizeof(cu.how),
			 "cuMemcpyDtoH and the CPU (this libcuda runs no "
			 "kernels)");
		return;
	}
	result = cu.module_load(&module, kernel);
	if (!result)
		result =
			cu.module_function(&cu.function, module, "storm_check");
	if (!result) {
		snprintf(cu.how, sizeof(cu.how), "a kernel on the GPU");
		return;
	}
	cu.function = NULL;
	snprintf(cu.how, sizeof(cu.how),
		 "cuMemcpyDtoH and the CPU (the kernel did not load: %s)",
		 cuda_error(&gpu.cuda, result, text, sizeof(text)));
}

enum outcome storm_check_load(void)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *found = gpu_symbol(functions[i].name);

		if (!found && functions[i].required)
			return test_fail(__FILE__, __LINE__,
					 "libcuda has no %s",
					 functions[i].name);
		memcpy(functions[i].function, &found, sizeof(found));
	}
	kernel_load();
	return PASSED;
}

const char *storm_check_how(void)
{
	return cu.how;
}

enum outcome storm_check_open(struct storm_check *check)
{
	*check = (struct storm_check){ 0 };
	check->host = aligned_alloc(64, STORM_SMALL + 64);
	CHECK(check->host);
	CHECK_CUDA(cu.stream_create(&check->stream, 1)); /* NON_BLOCKING */
	CHECK_CUDA(gpu.cuda.mem_alloc(&check->wrong, 8));
	return PASSED;
}

void storm_check_close(struct storm_check *check)
{
	if (check->wrong)
		gpu.cuda.mem_free(check->wrong);
	if (check->stream)
		cu.stream_destroy(check->stream);
	free(check->host);
	*check = (struct storm_check){ 0 };
}

static uint64_t word_at(uint64_t addr, uint64_t seed)
{
	return seed + addr / 8 * STEP;
}

static uint8_t byte_at(uint64_t addr, uint64_t seed)
{
	return word_at(addr, seed) >> (addr % 8 * 8);
}

/* A mapping begins in a page where the memory does, so words are whole. */
void storm_store(void *to, uint64_t addr, uint64_t length, uint64_t seed)
{
	uint8_t *byte = to;
	uint64_t word, count;
	uint64_t *words;

	while (length && (addr % 8 || (uintptr_t)byte % 8)) {
		*byte++ = byte_at(addr++, seed);
		length--;
	}
	words = (uint64_t *)byte;
	count = length / 8;
	word = word_at(addr, seed);
	for (uint64_t i = 0; i < count; i++)
		words[i] = word + i * STEP;
	byte += count * 8;
	addr += count * 8;
	for (length %= 8; length; length--)
		*byte++ = byte_at(addr++, seed);
}

enum outcome storm_compare(const void *bytes, uint64_t addr, uint64_t length,
			   uint64_t seed)
{
	const uint8_t *byte = bytes;
	uint64_t word, i = 0;

	while (i < length) {
		if (!((addr + i) % 8) && length - i >= 8) {
			memcpy(&word, byte + i, 8);
			if (word == word_at(addr + i, seed)) {
				i += 8;
				continue;
			}
		}
		if (byte[i] != byte_at(addr + i, seed))
			return test_fail(__FILE__, __LINE__,
					 "byte %" PRIu64 " of %" PRIu64
					 " is %02x, not %02x",
					 i, length, byte[i],
					 byte_at(addr + i, seed));
		i++;
	}
	return PASSED;
}

/* Piece after piece through the thread's host memory. */
static enum outcome check_copied(struct storm_check *check, uint64_t addr,
				 uint64_t length, uint64_t seed)
{
	uint64_t end = addr + length;

	while (addr < end) {
		uint64_t part = end - addr;

		if (part > STORM_SMALL)
			part = STORM_SMALL;
		CHECK_CUDA(cu.copy_from_gpu(check->host, addr, part,
					    check->stream));
		CHECK_CUDA(cu.stream_synchronize(check->stream));
		if (storm_compare(check->host, addr, part, seed) != PASSED) {
			char why[128];

			snprintf(why, sizeof(why), "%.127s", test_why);
			return test_fail(__FILE__, __LINE__,
					 "CUDA sees other data: in the %" PRIu64
					 " bytes before the end, %s",
					 end - addr, why);
		}
		addr += part;
	}
	return PASSED;
}

/* Bits of a word that stand for its bytes from `from` to before `to`. */
static uint64_t mask(unsigned int from, unsigned int to)
{
	uint64_t bits = to == 8 ? UINT64_MAX : (1ull << (to * 8)) - 1;

	return bits & ~((1ull << (from * 8)) - 1);
}

static enum outcome check_by_kernel(struct storm_check *check, uint64_t addr,
				    uint64_t length, uint64_t seed)
{
	uint64_t words = addr & ~7ull, end = addr + length;
	uint64_t count = (end + 7 - words) / 8;
	uint64_t first = word_at(words, seed);
	uint64_t head = mask(addr % 8, 8);
	uint64_t tail = mask(0, end % 8 ? end % 8 : 8);
	uint64_t *wrong = (uint64_t *)check->host;
	void *parameters[] = { &words, &count, &first,
			       &head,  &tail,  &check->wrong };
	uint64_t blocks = (count + THREADS - 1) / THREADS;

	if (blocks > BLOCKS)
		blocks = BLOCKS;
	*wrong = 0;
	CHECK_CUDA(cu.copy_to_gpu(check->wrong, wrong, 8, check->stream));
	CHECK_CUDA(cu.launch(cu.function, blocks, 1, 1, THREADS, 1, 1, 0,
			     check->stream, parameters, NULL));
	CHECK_CUDA(cu.copy_from_gpu(wrong, check->wrong, 8, check->stream));
	CHECK_CUDA(cu.stream_synchronize(check->stream));
	if (!*wrong)
		return PASSED;
	count = *wrong;
	/* Which, and what is there instead. */
	CHECK_PASSED(check_copied(check, addr, length, seed));
	return test_fail(__FILE__, __LINE__,
			 "a kernel sees %" PRIu64 " wrong words in %" PRIu64
			 " bytes, a copy made after it none",
			 count, length);
}

enum outcome storm_check(struct storm_check *check, uint64_t addr,
			 uint64_t length, uint64_t seed)
{
	/* The last stores may still wait in the CPU's buffers. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (cu.function && length > STORM_SMALL)
		return check_by_kernel(check, addr, length, seed);
	return check_copied(check, addr, length, seed);
}
