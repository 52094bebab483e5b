/* SPDX-License-Identifier: MIT */
/* The host's page: 4 KiB, or on some arm64 kernels 16 or 64 KiB. */
#ifndef GM_PAGE_H
#define GM_PAGE_H

#include <stdint.h>
#include <unistd.h>

static inline uint64_t gm_page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

#endif /* GM_PAGE_H */
