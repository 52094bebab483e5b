// SPDX-License-Identifier: MIT
/*
 * DMA mappings, dma-bufs and the ways of pinning, as far as they go without the
 * kernel module: arguments, handles and refusals.
 */
#include <fcntl.h>

#include "unit.h"

#include "../../lib/base/pci.h"

#define FORCE_BAR1 (GPUMEM_PIN_PERSISTENT | GPUMEM_PIN_FORCE_BAR1)

static void pci_addresses_are_parsed(void **state)
{
	static const struct {
		const char *text, *canonical;
	} good[] = {
		{ "0000:3b:00.0", "0000:3b:00.0" },
		{ "3b:00.0", "0000:3b:00.0" },
		{ "0000:3B:1F.7", "0000:3b:1f.7" },
		{ "00000000:3B:00.0", "0000:3b:00.0" },
		{ "10000:e1:00.0", "10000:e1:00.0" },
		{ "ffffffff:ff:1f.7", "ffffffff:ff:1f.7" },
	};
	struct gm_pci pci;
	char text[24];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(gm_pci_parse(good[i].text, &pci), 0);
		gm_pci_format(&pci, text, sizeof(text));
		assert_string_equal(text, good[i].canonical);
	}
}

static void bad_pci_addresses_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"eth0",
		":",
		"3b",
		"3b:00",
		"3b:00.",
		"3b:00.8",
		"3b:20.0",
		"3b:0.0",
		"b:00.0",
		"13b:00.0",
		"3b:00.0 ",
		" 3b:00.0",
		"3b:00.00",
		"3b:00:0",
		"3b.00.0",
		"0x3b:00.0",
		"000:3b:00.0",
		"0000:3b:00.g",
		"000000000:3b:00.0",
		"0000:0000:3b:00.0",
		"0000:3b:00.0/../x",
		"-0000:3b:00.0",
		"3g:00.0",
	};
	struct gpumem_dma *dma = (void *)0x1234;
	struct gpumem_buf *buf;
	struct gm_pci pci;

	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &buf), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (!gm_pci_parse(bad[i], &pci))
			fail_msg("\"%s\" was taken", bad[i]);
		unit_expect_error(gpumem_dma_map(buf, bad[i], 0, &dma), -EINVAL,
				  bad[i], "is no PCI address", "0000:3b:00.0",
				  NULL);
	}
	assert_ptr_equal(dma, (void *)0x1234);
	assert_int_equal(gpumem_unpin(buf), 0);
}

/* The linker puts them in the places of the C library's. */
int __wrap_open(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

static const char *may_open; /* how the one file ends that may be opened */
static unsigned int opens;

int __wrap_open(const char *path, int flags, ...)
{
	const char *name = strrchr(path, '/') + 1;

	assert_string_equal(path + strlen("/sys/bus/pci/devices/0000:3b:00.0/"),
			    name);
	assert_int_equal(flags, O_WRONLY | O_CLOEXEC);
	opens++;
	return may_open && !strcmp(name, may_open) ? 1000 : -1;
}

int __wrap_open64(const char *path, int flags, ...)
{
	return __wrap_open(path, flags);
}

/* Who may write one of a board's files may have it reach memory. */
static void any_file_of_a_board_will_do(void **state)
{
	static const char *const names[] = { "config",	  "resource0",
					     "resource1", "resource2",
					     "resource3", "resource4",
					     "resource5" };

	for (unsigned int i = 0; i < 7; i++) {
		may_open = names[i];
		opens = 0;
		assert_int_equal(gm_pci_open("0000:3b:00.0"), 1000);
		assert_int_equal(opens, i + 1);
	}
	may_open = NULL;
	opens = 0;
	assert_int_equal(gm_pci_open("0000:3b:00.0"), -1);
	assert_int_equal(opens, 7);
}

static void dma_map_refuses_bad_arguments(void **state)
{
	struct gpumem_dma *dma;
	struct gpumem_buf *buf;

	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &buf), 0);
	unit_expect_error(gpumem_dma_map(buf, NULL, 0, &dma), -EINVAL,
			  "peer is NULL", "0000:3b:00.0", NULL);
	unit_expect_error(gpumem_dma_map(buf, "3b:00.0", 0, NULL), -EINVAL,
			  "dma is NULL", NULL);
	unit_expect_error(gpumem_dma_map(buf, "3b:00.0", 4, &dma), -EINVAL,
			  "flags is 0x4", NULL);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_expect_error(gpumem_dma_map(buf, "3b:00.0", 0, &dma), -EBADF,
			  "no live buffer handle", NULL);
}

static void dma_map_says_who_can(void **state)
{
	struct gpumem_dma *dma = (void *)0x1234;
	struct gpumem_buf *buf;

	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &buf), 0);
	unit_expect_error(gpumem_dma_map(buf, "3b:00.0", 0, &dma), -EOPNOTSUPP,
			  "backend sim cannot", "only backend kmod can", NULL);
	assert_ptr_equal(dma, (void *)0x1234);
	assert_int_equal(gpumem_unpin(buf), 0);
}

static void dma_calls_refuse_dead_handles(void **state)
{
	struct gpumem_dma_info info = { .size = sizeof(info) };
	struct gpumem_dma *bad[3] = { NULL, (void *)&info };
	struct gpumem_buf *buf;
	struct gpumem_run run;
	size_t count = 1;

	/* A live handle of another kind is none either. */
	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &buf), 0);
	bad[2] = (void *)buf;
	for (size_t i = 0; i < 3; i++) {
		unit_expect_error(gpumem_dma_get(bad[i], &info), -EBADF,
				  "dma_get", "no live DMA mapping handle",
				  NULL);
		unit_expect_error(gpumem_dma_runs(bad[i], 0, &run, &count),
				  -EBADF, "dma_runs",
				  "unmapped or its buffer unpinned", NULL);
		unit_expect_error(gpumem_dma_unmap(bad[i]), -EBADF, "dma_unmap",
				  NULL);
	}
	assert_int_equal(gpumem_unpin(buf), 0);
}

static void export_refuses(void **state)
{
	struct gpumem_buf *buf;
	struct gpumem_dmabuf dmabuf = { .size = sizeof(dmabuf) - 8, .fd = 77 };

	assert_int_equal(gpumem_alloc(unit_session, 4096, 0, &buf), 0);
	unit_expect_error(gpumem_export_dmabuf(buf, 0, NULL), -EINVAL,
			  "dmabuf is NULL", NULL);
	unit_expect_error(gpumem_export_dmabuf(buf, 0, &dmabuf), -EINVAL,
			  "size is ", "sizeof(struct gpumem_dmabuf)", NULL);
	dmabuf.size = sizeof(dmabuf);
	unit_expect_error(gpumem_export_dmabuf(buf, 0x14, &dmabuf), -EINVAL,
			  "flags 0x14", "GPUMEM_EXPORT_", NULL);
	unit_expect_error(gpumem_export_dmabuf(buf, GPUMEM_EXPORT_READ_ONLY,
					       &dmabuf),
			  -EOPNOTSUPP, "backend sim cannot make a dma-buf",
			  "only backend kmod can", NULL);
	assert_int_equal(dmabuf.fd, 77);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_expect_error(gpumem_export_dmabuf(buf, 0, &dmabuf), -EBADF,
			  "export_dmabuf", NULL);
}

static void pins_of_the_simulation_are_persistent(void **state)
{
	CUdeviceptr addr = unit_alloc(MIB);
	struct gpumem_buf *buf;
	char byte = 0x5a;

	assert_int_equal(gpumem_pin(unit_session, addr, MIB,
				    GPUMEM_PIN_PERSISTENT, &buf),
			 0);
	unit_free(addr);
	assert_int_equal(gpumem_write(buf, 9, &byte, 1), 0);
	byte = 0;
	assert_int_equal(gpumem_read(buf, 9, &byte, 1), 0);
	assert_int_equal(byte, 0x5a);
	assert_int_equal(gpumem_unpin(buf), 0);
}

static void pin_refuses_flags_it_cannot_keep(void **state)
{
	CUdeviceptr addr = unit_alloc(MIB);
	struct gpumem_buf *buf = (void *)0x1234;

	unit_expect_error(gpumem_pin(unit_session, addr, 1,
				     GPUMEM_PIN_FORCE_BAR1, &buf),
			  -EINVAL, "goes with GPUMEM_PIN_PERSISTENT", NULL);
	unit_expect_error(gpumem_pin(unit_session, addr, 1, FORCE_BAR1, &buf),
			  -EOPNOTSUPP, "backend sim cannot choose BAR1", NULL);
	unit_expect_error(gpumem_alloc(unit_session, 1, FORCE_BAR1, &buf),
			  -EOPNOTSUPP, "BAR1", NULL);
	unit_expect_error(gpumem_pin(unit_session, addr, 1, GPUMEM_PIN_EVENTFD,
				     &buf),
			  -EINVAL, "gpumem_pin_with", NULL);
	unit_expect_error(gpumem_alloc(unit_session, 1, GPUMEM_PIN_EVENTFD,
				       &buf),
			  -EINVAL, "alloc: GPUMEM_PIN_EVENTFD", NULL);
	assert_ptr_equal(buf, (void *)0x1234);
	unit_free(addr);
}

static void pin_with_checks_its_options(void **state)
{
	struct gpumem_pin_options options = { 0 };
	CUdeviceptr addr = unit_alloc(MIB);
	struct gpumem_buf *buf;

	unit_expect_error(gpumem_pin_with(unit_session, addr, MIB, &options,
					  &buf),
			  -EINVAL, "options->size is 0",
			  "sizeof(struct gpumem_pin_options)", NULL);
	options.size = sizeof(options);
	options.flags = 1u << 30;
	unit_expect_error(gpumem_pin_with(unit_session, addr, MIB, &options,
					  &buf),
			  -EINVAL, "pin_with: flags 0x40000000", NULL);
	options.flags = 0;
	options.event_fd = 5;
	unit_expect_error(
		gpumem_pin_with(unit_session, addr, MIB, &options, &buf),
		-EINVAL, "event_fd is 5 without GPUMEM_PIN_EVENTFD", NULL);
	options.flags = GPUMEM_PIN_EVENTFD;
	unit_expect_error(
		gpumem_pin_with(unit_session, addr, MIB, &options, &buf),
		-EOPNOTSUPP, "never be signalled", "backend sim", NULL);
	unit_expect_error(gpumem_pin_with(unit_session, addr, 0, NULL, &buf),
			  -EINVAL, "pin_with: length is 0", NULL);
	unit_expect_error(gpumem_pin_with(unit_session, addr, 1, NULL, NULL),
			  -EINVAL, "buf is NULL", NULL);
	unit_expect_error(gpumem_pin_with(NULL, addr, 1, NULL, &buf), -EBADF,
			  "pin_with", NULL);
	unit_free(addr);
}

static void pin_with_pins(void **state)
{
	struct gpumem_pin_options options = {
		.size = sizeof(options),
		.flags = GPUMEM_PIN_PERSISTENT | GPUMEM_PIN_NO_TRIAL_WRITE,
		.event_fd = -1,
	};
	CUdeviceptr addr = unit_alloc(MIB);
	struct gpumem_buf *buf;

	assert_int_equal(gpumem_pin_with(unit_session, addr + 3, 1000, &options,
					 &buf),
			 0);
	unit_map(buf);
	assert_int_equal(gpumem_unpin(buf), 0);
	assert_int_equal(gpumem_pin_with(unit_session, addr, MIB, NULL, &buf),
			 0);
	assert_int_equal(gpumem_unpin(buf), 0);
	unit_free(addr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pci_addresses_are_parsed),
		cmocka_unit_test(bad_pci_addresses_are_refused),
		cmocka_unit_test(any_file_of_a_board_will_do),
		cmocka_unit_test(dma_map_refuses_bad_arguments),
		cmocka_unit_test(dma_map_says_who_can),
		cmocka_unit_test(dma_calls_refuse_dead_handles),
		cmocka_unit_test(export_refuses),
		cmocka_unit_test(pins_of_the_simulation_are_persistent),
		cmocka_unit_test(pin_refuses_flags_it_cannot_keep),
		cmocka_unit_test(pin_with_checks_its_options),
		cmocka_unit_test(pin_with_pins),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
