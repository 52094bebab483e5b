// SPDX-License-Identifier: MIT
/* A stand-in for GDRCopy's library, for test_doctor.py. */
__attribute__((visibility("default"))) void gdr_runtime_get_version(int *major,
								    int *minor);

void gdr_runtime_get_version(int *major, int *minor)
{
	*major = 2;
	*minor = 6;
}
