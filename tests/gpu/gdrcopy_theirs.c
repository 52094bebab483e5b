// SPDX-License-Identifier: MIT
/*
 * GDRCopy's source file as it is, without its driver: gdrcopy.sh compiles this
 * with that source tree's folders, into a library that shows nothing else, as
 * libgdrapi has the same names.
 */
#include <gdrapi.c>
#include <immintrin.h>

#include "gdrcopy_theirs.h"

#define THEIRS __attribute__((visibility("default")))

static gdr_memh_t theirs_memory = { .mapping_type = GDR_MAPPING_TYPE_WC };

THEIRS void theirs_start(void)
{
	setenv("GDRCOPY_ENABLE_LOGGING", "1", 1);
	setenv("GDRCOPY_LOG_LEVEL", "1", 1);
	gdr_init_cpu_flags();
}

THEIRS int theirs_copy_to(void *map, const void *host, size_t size)
{
	return gdr_copy_to_mapping(from_memh(&theirs_memory), map, host, size);
}

THEIRS int theirs_copy_from(void *host, const void *map, size_t size)
{
	return gdr_copy_from_mapping(from_memh(&theirs_memory), host, map,
				     size);
}

THEIRS int theirs_copy_from_fenced(void *host, const void *map, size_t size)
{
	int error = theirs_copy_from(host, map, size);

	_mm_lfence();
	return error;
}
