// SPDX-License-Identifier: MIT
#include <string.h>

#include "bench/echo_kernel.h"

#define STREAM_NON_BLOCKING 1u
/* Given to the kernel last of all; kernel_next() never gives it. */
#define LAST_VALUE UINT32_MAX
/* An answer that takes longer does not come. */
#define ANSWER_US 200e3
#define ATTRIBUTE_SM_COUNT 16

/*
 * One thread: more of them, in other warps, see a value no sooner (H100). It
 * looks at the clock once in 256 polls, so that most polls are a load and no
 * more.
 *
 * word    polled, and volatile: each load goes to the memory
 * answer  where a new value goes
 * last    the value that ends the kernel
 * life    nanoseconds after which it ends
 * sm      the multiprocessor whose block does this, or KERNEL_ANY_SM
 */
static const char ptx[] =
	".version 6.0\n"
	".target sm_70\n"
	".address_size 64\n"
	".visible .entry gpumem_bench_echo(\n"
	"	.param .u64 word, .param .u64 answer,\n"
	"	.param .u32 last, .param .u64 life, .param .u32 sm)\n"
	"{\n"
	"	.reg .b64 %word, %answer, %now, %end, %life;\n"
	"	.reg .b32 %last, %seen, %value, %left, %sm, %here;\n"
	"	.reg .pred %p;\n"
	"	ld.param.u64 %word, [word];\n"
	"	ld.param.u64 %answer, [answer];\n"
	"	ld.param.u32 %last, [last];\n"
	"	ld.param.u64 %life, [life];\n"
	"	ld.param.u32 %sm, [sm];\n"
	"	mov.u32 %here, %smid;\n"
	"	setp.eq.u32 %p, %sm, 0xffffffff;\n"
	"	@%p bra mine;\n"
	"	setp.ne.u32 %p, %sm, %here;\n"
	"	@%p bra done;\n"
	"mine:\n"
	"	cvta.to.global.u64 %word, %word;\n"
	"	cvta.to.global.u64 %answer, %answer;\n"
	"	mov.u64 %now, %globaltimer;\n"
	"	add.u64 %end, %now, %life;\n"
	"	mov.u32 %seen, 0;\n"
	"again:\n"
	"	mov.u32 %left, 256;\n"
	"poll:\n"
	"	ld.volatile.global.u32 %value, [%word];\n"
	"	setp.eq.u32 %p, %value, %seen;\n"
	"	@%p bra next;\n"
	"	st.volatile.global.u32 [%answer], %value;\n"
	"	mov.u32 %seen, %value;\n"
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
	"	ret;\n"
	"}\n";

static int kernel_no_launch(const struct bench_gpu *gpu)
{
	tool_error("this needs a GPU that runs any kernel, and %s%s does "
		   "not; run it where there is a real one",
		   gpu->device.name,
		   tool_device_label(&gpu->device, gpu->backend));
	return TOOL_FAILED;
}

static int kernel_load(struct kernel *kernel)
{
	struct bench_gpu *gpu = kernel->gpu;
	int (*load)(void **module, const void *image);
	int (*get)(void **function, void *module, const char *name);
	int (*stream_create)(void **stream, unsigned int flags);
	int (*host_pointer)(uint64_t * addr, void *host, unsigned int flags);
	int (*attribute)(int *value, int attribute, int device);
	void *answers;
	int result;

	if (bench_gpu_symbol(gpu, "cuModuleLoadData", &load) ||
	    bench_gpu_symbol(gpu, "cuModuleGetFunction", &get) ||
	    bench_gpu_symbol(gpu, "cuModuleUnload", &kernel->module_unload) ||
	    bench_gpu_symbol(gpu, "cuLaunchKernel", &kernel->launch) ||
	    bench_gpu_symbol(gpu, "cuStreamCreate", &stream_create) ||
	    bench_gpu_symbol(gpu, "cuStreamDestroy_v2",
			     &kernel->stream_destroy) ||
	    bench_gpu_symbol(gpu, "cuStreamSynchronize",
			     &kernel->stream_synchronize) ||
	    bench_gpu_symbol(gpu, "cuDeviceGetAttribute", &attribute) ||
	    bench_gpu_symbol(gpu, "cuMemHostGetDevicePointer_v2",
			     &host_pointer))
		return TOOL_FAILED;
	result = attribute(&kernel->sm_count, ATTRIBUTE_SM_COUNT,
			   gpu->cuda.device);
	if (result)
		return bench_cuda_failed(gpu, "cuDeviceGetAttribute", result);
	result = load(&kernel->module, ptx);
	if (result)
		return bench_cuda_failed(gpu, "cuModuleLoadData", result);
	result = get(&kernel->function, kernel->module, "gpumem_bench_echo");
	if (result)
		return bench_cuda_failed(gpu, "cuModuleGetFunction", result);
	/* No other stream's work waits for it, and it for none. */
	result = stream_create(&kernel->stream, STREAM_NON_BLOCKING);
	if (result)
		return bench_cuda_failed(gpu, "cuStreamCreate", result);
	result = gpu->host_alloc(&answers, KERNEL_ANSWERS * KERNEL_ANSWER, 0);
	if (result)
		return bench_cuda_failed(gpu, "cuMemHostAlloc", result);
	kernel->answers = answers;
	kernel_answer_at(kernel, 0);
	result = host_pointer(&kernel->answers_gpu, answers, 0);
	if (result)
		return bench_cuda_failed(gpu, "cuMemHostGetDevicePointer",
					 result);
	return 0;
}

int kernel_open(struct bench_gpu *gpu, struct kernel *kernel)
{
	int status;

	memset(kernel, 0, sizeof(*kernel));
	kernel->gpu = gpu;
	kernel->sm = KERNEL_ANY_SM;
	if (gpu->device.flags & GPUMEM_DEVICE_SIMULATED ||
	    !gpumem_cuda_symbol(gpu->session, "cuLaunchKernel"))
		return kernel_no_launch(gpu);
	status = kernel_load(kernel);
	if (status)
		kernel_close(kernel);
	return status;
}

void kernel_close(struct kernel *kernel)
{
	/* It retires by itself where it was not stopped. */
	if (kernel->running)
		kernel->stream_synchronize(kernel->stream);
	kernel->running = false;
	if (kernel->answers)
		kernel->gpu->host_free(kernel->answers);
	if (kernel->stream)
		kernel->stream_destroy(kernel->stream);
	if (kernel->module)
		kernel->module_unload(kernel->module);
}

void kernel_answer_at(struct kernel *kernel, unsigned int i)
{
	kernel->answer =
		(uint32_t *)(kernel->answers + (size_t)i * KERNEL_ANSWER);
}

int kernel_start(struct kernel *kernel, uint64_t word)
{
	const struct cuda *cuda = &kernel->gpu->cuda;
	uint32_t zero = 0, last = LAST_VALUE;
	uint64_t life = KERNEL_LIFE_NS;
	uint64_t answer = kernel->answers_gpu +
			  (uint64_t)((char *)kernel->answer - kernel->answers);
	/* A block for each, most of which end at once. */
	unsigned int blocks = kernel->sm == KERNEL_ANY_SM ? 1
							  : kernel->sm_count;
	void *parameters[] = { &word, &answer, &last, &life, &kernel->sm };
	int result = cuda->copy_to_gpu(word, &zero, sizeof(zero));

	if (!result)
		result = cuda->context_synchronize();
	if (result)
		return bench_cuda_failed(kernel->gpu, "cuMemcpyHtoD", result);
	kernel->value = 0;
	__atomic_store_n(kernel->answer, 0, __ATOMIC_RELEASE);
	result = kernel->launch(kernel->function, blocks, 1, 1, 1, 1, 1, 0,
				kernel->stream, parameters, NULL);
	if (result)
		return bench_cuda_failed(kernel->gpu, "cuLaunchKernel", result);
	kernel->running = true;
	return 0;
}

int kernel_stop(struct kernel *kernel, uint64_t word)
{
	const struct cuda *cuda = &kernel->gpu->cuda;
	uint32_t last = LAST_VALUE;
	int result, ended;

	result = cuda->copy_to_gpu(word, &last, sizeof(last));
	ended = kernel->stream_synchronize(kernel->stream);
	kernel->running = false;
	if (result)
		return bench_cuda_failed(kernel->gpu, "cuMemcpyHtoD", result);
	if (ended)
		return bench_cuda_failed(kernel->gpu, "the kernel", ended);
	return 0;
}

uint32_t kernel_next(struct kernel *kernel)
{
	return ++kernel->value;
}

bool kernel_answers(const struct kernel *kernel, double timeout_us)
{
	double start = 0;

	for (unsigned int i = 0;; i++) {
		if (__atomic_load_n(kernel->answer, __ATOMIC_ACQUIRE) ==
		    kernel->value)
			return true;
		/* The clock is slower than the answer: not each time. */
		if (i % 1024 != 1023)
			continue;
		if (start == 0)
			start = tool_now();
		else if (tool_now() - start > timeout_us)
			return false;
	}
}

bool kernel_wait(const struct kernel *kernel)
{
	if (kernel_answers(kernel, ANSWER_US))
		return true;
	tool_error("the kernel did not answer in %.0f ms: what was stored did "
		   "not get to the GPU, or the kernel did not start",
		   ANSWER_US / 1e3);
	return false;
}
