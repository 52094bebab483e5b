// SPDX-License-Identifier: MIT
/* gpumem bench loops: what it takes from CUDA, and its two kernels. */
#include <string.h>

#include "abi/bench_kernels.h"
#include "bench/loops.h"

/* A thread a word: word i of addr becomes one more. */
static const char step_ptx[] =
	".version 6.0\n"
	".target sm_70\n"
	".address_size 64\n"
	".visible .entry " BENCH_STEP "(.param .align 8 .b8 job[16])\n"
	"{\n"
	"	.reg .b64 %addr, %at;\n"
	"	.reg .b32 %words, %i, %block, %threads, %thread, %value;\n"
	"	.reg .pred %p;\n"
	"	ld.param.u64 %addr, [job];\n"
	"	ld.param.u32 %words, [job + 8];\n"
	"	mov.u32 %block, %ctaid.x;\n"
	"	mov.u32 %threads, %ntid.x;\n"
	"	mov.u32 %thread, %tid.x;\n"
	"	mad.lo.u32 %i, %block, %threads, %thread;\n"
	"	setp.ge.u32 %p, %i, %words;\n"
	"	@%p bra done;\n"
	"	cvta.to.global.u64 %addr, %addr;\n"
	"	mul.wide.u32 %at, %i, 4;\n"
	"	add.u64 %at, %at, %addr;\n"
	"	ld.global.u32 %value, [%at];\n"
	"	add.u32 %value, %value, 1;\n"
	"	st.global.u32 [%at], %value;\n"
	"done:\n"
	"	ret;\n"
	"}\n";

/*
 * A thread an element of c: row i / n, column i % n. Plain, for it is to keep
 * multiprocessors and caches busy; its blocks are short.
 */
static const char product_ptx[] =
	".version 6.0\n"
	".target sm_70\n"
	".address_size 64\n"
	".visible .entry " BENCH_PRODUCT "(.param .align 8 .b8 job[32])\n"
	"{\n"
	"	.reg .b64 %a, %b, %c, %at, %row_bytes;\n"
	"	.reg .b32 %n, %i, %block, %threads, %thread, %row, %col, %left;\n"
	"	.reg .b32 %all;\n"
	"	.reg .f32 %x, %y, %sum;\n"
	"	.reg .pred %p;\n"
	"	ld.param.u64 %a, [job];\n"
	"	ld.param.u64 %b, [job + 8];\n"
	"	ld.param.u64 %c, [job + 16];\n"
	"	ld.param.u32 %n, [job + 24];\n"
	"	mov.u32 %block, %ctaid.x;\n"
	"	mov.u32 %threads, %ntid.x;\n"
	"	mov.u32 %thread, %tid.x;\n"
	"	mad.lo.u32 %i, %block, %threads, %thread;\n"
	"	mul.lo.u32 %all, %n, %n;\n"
	"	setp.ge.u32 %p, %i, %all;\n"
	"	@%p bra done;\n"
	"	div.u32 %row, %i, %n;\n"
	"	rem.u32 %col, %i, %n;\n"
	"	cvta.to.global.u64 %a, %a;\n"
	"	cvta.to.global.u64 %b, %b;\n"
	"	cvta.to.global.u64 %c, %c;\n"
	"	mul.wide.u32 %row_bytes, %n, 4;\n"
	"	mul.wide.u32 %at, %i, 4;\n"
	"	add.u64 %c, %c, %at;\n"
	"	mul.wide.u32 %at, %col, 4;\n"
	"	add.u64 %b, %b, %at;\n"
	"	mul.lo.u32 %row, %row, %n;\n"
	"	mul.wide.u32 %at, %row, 4;\n"
	"	add.u64 %a, %a, %at;\n"
	"	mov.f32 %sum, 0f00000000;\n"
	"	mov.u32 %left, %n;\n"
	"next:\n"
	"	ld.global.f32 %x, [%a];\n"
	"	ld.global.f32 %y, [%b];\n"
	"	fma.rn.f32 %sum, %x, %y, %sum;\n"
	"	add.u64 %a, %a, 4;\n"
	"	add.u64 %b, %b, %row_bytes;\n"
	"	sub.u32 %left, %left, 1;\n"
	"	setp.ne.u32 %p, %left, 0;\n"
	"	@%p bra next;\n"
	"	st.global.f32 [%c], %sum;\n"
	"done:\n"
	"	ret;\n"
	"}\n";

static const struct {
	const char *name;
	size_t member;
} functions[] = {
	{ "cuLaunchKernel", offsetof(struct loops_cuda, launch) },
	{ "cuModuleLoadData", offsetof(struct loops_cuda, module_load) },
	{ "cuModuleUnload", offsetof(struct loops_cuda, module_unload) },
	{ "cuModuleGetFunction", offsetof(struct loops_cuda, module_function) },
	{ "cuStreamCreate", offsetof(struct loops_cuda, stream_create) },
	{ "cuStreamDestroy_v2", offsetof(struct loops_cuda, stream_destroy) },
	{ "cuStreamSynchronize",
	  offsetof(struct loops_cuda, stream_synchronize) },
	{ "cuEventCreate", offsetof(struct loops_cuda, event_create) },
	{ "cuEventDestroy_v2", offsetof(struct loops_cuda, event_destroy) },
	{ "cuEventRecord", offsetof(struct loops_cuda, event_record) },
	{ "cuEventSynchronize",
	  offsetof(struct loops_cuda, event_synchronize) },
	{ "cuMemcpyDtoHAsync_v2",
	  offsetof(struct loops_cuda, copy_from_gpu_async) },
	{ "cuMemsetD32_v2", offsetof(struct loops_cuda, memset_d32) },
};

static int kernel_load(struct loops *loops, const char *ptx, const char *name,
		       struct loop_kernel *kernel)
{
	int result = loops->cuda.module_load(&kernel->module, ptx);

	if (result) {
		kernel->module = NULL;
		return bench_cuda_failed(&loops->gpu, "cuModuleLoadData",
					 result);
	}
	result = loops->cuda.module_function(&kernel->function, kernel->module,
					     name);
	if (result)
		return bench_cuda_failed(&loops->gpu, "cuModuleGetFunction",
					 result);
	return 0;
}

int loops_cuda_open(struct loops *loops)
{
	struct loops_cuda *cuda = &loops->cuda;
	int status = 0;

	memset(cuda, 0, sizeof(*cuda));
	for (size_t i = 0;
	     i < sizeof(functions) / sizeof(functions[0]) && !status; i++)
		status = bench_gpu_symbol(&loops->gpu, functions[i].name,
					  (char *)cuda + functions[i].member);
	if (!status)
		status = kernel_load(loops, step_ptx, BENCH_STEP, &cuda->step);
	if (!status)
		status = kernel_load(loops, product_ptx, BENCH_PRODUCT,
				     &cuda->product);
	if (status)
		loops_cuda_close(loops);
	return status;
}

void loops_cuda_close(struct loops *loops)
{
	if (loops->cuda.step.module)
		loops->cuda.module_unload(loops->cuda.step.module);
	if (loops->cuda.product.module)
		loops->cuda.module_unload(loops->cuda.product.module);
}

static int kernel_launch(struct loops *loops, const struct loop_kernel *kernel,
			 void *job, uint64_t threads, void *stream)
{
	uint64_t blocks =
		(threads + BENCH_KERNEL_THREADS - 1) / BENCH_KERNEL_THREADS;
	void *parameters[] = { job };
	int result = loops->cuda.launch(kernel->function, blocks, 1, 1,
					BENCH_KERNEL_THREADS, 1, 1, 0, stream,
					parameters, NULL);

	if (result)
		return bench_cuda_failed(&loops->gpu, "cuLaunchKernel", result);
	return 0;
}

int loops_step(struct loops *loops, uint64_t addr, uint32_t words, void *stream)
{
	struct bench_step_job job = { .addr = addr, .words = words };

	return kernel_launch(loops, &loops->cuda.step, &job, words, stream);
}

int loops_product(struct loops *loops, const uint64_t *matrices, uint32_t n,
		  void *stream)
{
	struct bench_product_job job = {
		.a = matrices[0], .b = matrices[1], .c = matrices[2], .n = n
	};

	return kernel_launch(loops, &loops->cuda.product, &job, (uint64_t)n * n,
			     stream);
}
