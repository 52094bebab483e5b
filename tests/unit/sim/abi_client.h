/* SPDX-License-Identifier: MIT */
#ifndef ABI_CLIENT_H
#define ABI_CLIENT_H

/* 0, or -1 with a line on stderr. */
int abi_client_run(void);

#endif /* ABI_CLIENT_H */
