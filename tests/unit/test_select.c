// SPDX-License-Identifier: MIT
/* Which GPU a session is opened on, and what it counts. */
#include <stdio.h>

#include "unit.h"

static int open_id(const char *id, int device, struct gpumem **session)
{
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim",
					  .device = device,
					  .device_id = id };

	return gpumem_open(&options, session);
}

static void check_opens(const char *id)
{
	struct gpumem *session;

	if (open_id(id, 0, &session))
		fail_msg("%s: %s", id, gpumem_last_error());
	assert_int_equal(gpumem_close(session), 0);
}

static void by_uuid(void **state)
{
	CUresult (*uuid_get)(CUuuid * uuid, CUdevice device);
	char text[64] = "GPU-";
	CUuuid uuid;

	*(void **)&uuid_get =
		gpumem_cuda_symbol(unit_session, "cuDeviceGetUuid_v2");
	if (!uuid_get)
		skip();
	assert_int_equal(uuid_get(&uuid, 0), 0);
	for (int i = 0; i < 16; i++)
		snprintf(text + strlen(text), 4, "%s%02x",
			 i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			 (unsigned char)uuid.bytes[i]);
	check_opens(text);
}

static void by_pci_address(void **state)
{
	struct gpumem_device device = { .size = sizeof(device) };

	assert_int_equal(gpumem_device_get(unit_session, -1, &device), 0);
	if (!*device.pci)
		skip();
	check_opens(device.pci);
	if (!strncmp(device.pci, "0000:", 5))
		check_opens(device.pci + 5);
}

static void what_is_not_there_is_named(void **state)
{
	struct gpumem *session;

	unit_expect_error(open_id("0000:fe:1f.0", 0, &session), -ENOENT,
			  "0000:fe:1f.0", "CUDA_VISIBLE_DEVICES", NULL);
	unit_expect_error(open_id("GPU-00112233-4455-6677-8899-aabbccddeeff", 0,
				  &session),
			  -ENOENT, "GPU-00112233", NULL);
	unit_expect_error(open_id(NULL, 9, &session), -ENOENT, "no GPU 9",
			  NULL);
}

static void what_is_no_id_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"GPU-",
		"GPU-12",
		"3b:00",
		"0000:3b:00.0 ",
		"3b:00.8",
		"10000:3b:00.0",
		"0000:3b:20.0",
		"0:100:0.0",
		"GPU-00112233-4455-6677-8899-aabbccddeeff0",
	};
	struct gpumem *session;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		unit_expect_error(open_id(bad[i], 0, &session), -EINVAL,
				  "device_id", NULL);
	unit_expect_error(open_id("3b:00.0", 1, &session), -EINVAL, "both",
			  NULL);
}

/* A program built before device_id was there. */
static void the_old_size_is_taken(void **state)
{
	struct gpumem_options options = {
		.size = offsetof(struct gpumem_options, device_id),
		.backend = "sim",
		.device_id = "what is not part of it",
	};
	struct gpumem *session;

	assert_int_equal(gpumem_open(&options, &session), 0);
	assert_int_equal(gpumem_close(session), 0);
	options.size--;
	unit_expect_error(gpumem_open(&options, &session), -EINVAL, "size",
			  NULL);
}

/* What the library pins for itself at open is not the program's. */
static void no_pin_is_counted_before_the_first(void **state)
{
	struct gpumem_stats stats = { .size = sizeof(stats) };
	struct gpumem_options options = { .size = sizeof(options),
					  .backend = "sim" };
	struct gpumem *session;

	assert_int_equal(gpumem_open(&options, &session), 0);
	assert_int_equal(gpumem_stats_get(session, &stats), 0);
	assert_int_equal(stats.pins, 0);
	assert_int_equal(gpumem_close(session), 0);
}

static void pins_are_counted(void **state)
{
	struct gpumem_stats stats = { .size = sizeof(stats) }, later = stats;
	CUdeviceptr addr = unit_alloc(MIB);

	assert_int_equal(gpumem_stats_get(unit_session, &stats), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(gpumem_unpin(unit_pin(addr, MIB)), 0);
	assert_int_equal(gpumem_stats_get(unit_session, &later), 0);
	assert_int_equal(later.pins, stats.pins + 3);
	assert_int_equal(later.repins, 0);
	unit_free(addr);
	unit_expect_error(gpumem_stats_get(unit_session, NULL), -EINVAL, "NULL",
			  NULL);
	stats.size = 1;
	unit_expect_error(gpumem_stats_get(unit_session, &stats), -EINVAL,
			  "size is 1", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_uuid),
		cmocka_unit_test(by_pci_address),
		cmocka_unit_test(what_is_not_there_is_named),
		cmocka_unit_test(what_is_no_id_is_refused),
		cmocka_unit_test(the_old_size_is_taken),
		cmocka_unit_test(no_pin_is_counted_before_the_first),
		cmocka_unit_test(pins_are_counted),
	};

	return group_run(tests, unit_setup, unit_teardown);
}
