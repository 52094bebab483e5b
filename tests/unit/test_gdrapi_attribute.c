// SPDX-License-Identifier: MIT
/*
 * The attributes of libgdrapi, built as for CPUs that may have a coherent link to
 * a GPU. Which backend is used, what kind of link the GPU has and which driver is
 * loaded is made up here.
 */
#include <dlfcn.h>
#include <stdio.h>

#include "gdrapi_unit.h"

static struct {
	const char *backend; /* NULL: as it is */
	const char *driver; /* NULL: none is loaded */
	bool kmod_usable;
	int coherent;
} made_up;

#define EXPORTED __attribute__((visibility("default")))

/* In the place of libgpumem's, and of the C library's. */
EXPORTED const char *gpumem_backend_name(struct gpumem *session)
{
	return made_up.backend ? made_up.backend : "sim";
}

EXPORTED int gpumem_backend_get(unsigned int index,
				struct gpumem_backend *backend)
{
	int (*real)(unsigned int index, struct gpumem_backend *backend);
	int rc;

	*(void **)&real = dlsym(RTLD_NEXT, "gpumem_backend_get");
	rc = real(index, backend);
	if (!rc && !strcmp(backend->name, "kmod"))
		backend->status = made_up.kmod_usable ? 0 : -ENODEV;
	return rc;
}

static CUresult device_attribute(int *value, int attribute, CUdevice device)
{
	*value = attribute == 100 ? made_up.coherent : 0;
	return CUDA_SUCCESS;
}

EXPORTED void *gpumem_cuda_symbol(struct gpumem *session, const char *name)
{
	void *(*real)(struct gpumem * session, const char *name);

	if (!strcmp(name, "cuDeviceGetAttribute"))
		return (void *)device_attribute;
	*(void **)&real = dlsym(RTLD_NEXT, "gpumem_cuda_symbol");
	return real(session, name);
}

EXPORTED FILE *fopen(const char *path, const char *mode)
{
	FILE *(*real)(const char *path, const char *mode);

	if (!strcmp(path, "/sys/module/nvidia/version"))
		return made_up.driver ? fmemopen((void *)made_up.driver,
						 strlen(made_up.driver), "r")
				      : NULL;
	*(void **)&real = dlsym(RTLD_NEXT, "fopen");
	return real(path, mode);
}

static int attribute(gdr_t g, gdr_attr_t which)
{
	int value = -1;

	assert_int_equal(gdr_get_attribute(g, which, &value), 0);
	return value;
}

static int forces(gdr_t g)
{
	return attribute(g, GDR_ATTR_SUPPORT_PIN_FLAG_FORCE_PCIE);
}

static int pin_forced(gdr_t g, CUdeviceptr addr)
{
	gdr_mh_t mh;
	int error =
		gdr_pin_buffer_v2(g, addr, 65536, GDR_PIN_FLAG_FORCE_PCIE, &mh);

	if (!error)
		assert_int_equal(gdr_unpin_buffer(g, mh), 0);
	return error;
}

static void pin_once(gdr_t g, CUdeviceptr addr)
{
	gdr_mh_t mh;

	assert_int_equal(gdr_pin_buffer(g, addr, 65536, 0, 0, &mh), 0);
	assert_int_equal(gdr_unpin_buffer(g, mh), 0);
}

static int set_up(void **state)
{
	memset(&made_up, 0, sizeof(made_up));
	setenv("GPUMEM_BACKEND", "sim", 1);
	return 0;
}

/* An ARM server with GPUs in its slots. */
static void without_a_coherent_link_all_pins_are_such(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_t g = gdr_open();

	assert_int_equal(forces(g), 0); /* not known yet */
	assert_int_equal(pin_forced(g, memory.addr), 0);
	assert_int_equal(forces(g), 1);
	assert_int_equal(gdr_close(g), 0);
	unit_free(memory.place);
}

/* Grace Hopper without gpumem.ko. To UCX it is fatal if a 1 is not true. */
static void with_one_the_other_backends_have_none(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_t g = gdr_open();

	made_up.coherent = 1;
	made_up.driver = "580.159.04\n";
	assert_int_equal(forces(g), 0);
	assert_int_equal(pin_forced(g, memory.addr), EOPNOTSUPP);
	pin_once(g, memory.addr);
	assert_int_equal(forces(g), 0);
	assert_int_equal(gdr_close(g), 0);
	unit_free(memory.place);
}

static void with_one_the_module_makes_them(void **state)
{
	gdr_t g = gdr_open();

	/* As the library chooses by itself. */
	unsetenv("GPUMEM_BACKEND");
	made_up.coherent = 1;
	made_up.driver = "580.159.04\n";
	assert_int_equal(forces(g), 0);
	made_up.kmod_usable = true;
	assert_int_equal(forces(g), 1);
	made_up.driver = "565.57.01\n";
	assert_int_equal(forces(g), 0);
	made_up.driver = NULL;
	assert_int_equal(forces(g), 0);
	/* It is there, and was not chosen. */
	made_up.driver = "580.159.04\n";
	setenv("GPUMEM_BACKEND", "rm", 1);
	assert_int_equal(forces(g), 0);
	assert_int_equal(gdr_close(g), 0);
}

static void with_one_the_modules_pins_are_known(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_t g = gdr_open();

	made_up.coherent = 1;
	made_up.driver = "580.159.04\n";
	pin_once(g, memory.addr);
	assert_int_equal(forces(g), 0);
	made_up.backend = "kmod";
	assert_int_equal(forces(g), 1);
	made_up.driver = "565.57.01\n";
	assert_int_equal(forces(g), 0);
	assert_int_equal(gdr_close(g), 0);
	unit_free(memory.place);
}

static void dmabufs_are_told_of_where_they_are_mapped(void **state)
{
	struct gdr_unit_memory memory = gdr_unit_alloc(65536);
	gdr_t g = gdr_open();

	assert_int_equal(attribute(g, GDR_ATTR_USING_DMA_BUF_MMAP), 0);
	setenv("GPUMEM_BACKEND", "dmabuf", 1);
	assert_int_equal(attribute(g, GDR_ATTR_USING_DMA_BUF_MMAP), 1);
	/* Where none was asked for, a pin shows it. */
	unsetenv("GPUMEM_BACKEND");
	assert_int_equal(attribute(g, GDR_ATTR_USING_DMA_BUF_MMAP), 0);
	setenv("GPUMEM_BACKEND", "sim", 1);
	pin_once(g, memory.addr);
	assert_int_equal(attribute(g, GDR_ATTR_USING_DMA_BUF_MMAP), 0);
	made_up.backend = "dmabuf";
	assert_int_equal(attribute(g, GDR_ATTR_USING_DMA_BUF_MMAP), 1);
	assert_int_equal(gdr_close(g), 0);
	unit_free(memory.place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			without_a_coherent_link_all_pins_are_such, set_up),
		cmocka_unit_test_setup(with_one_the_other_backends_have_none,
				       set_up),
		cmocka_unit_test_setup(with_one_the_module_makes_them, set_up),
		cmocka_unit_test_setup(with_one_the_modules_pins_are_known,
				       set_up),
		cmocka_unit_test_setup(
			dmabufs_are_told_of_where_they_are_mapped, set_up),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
