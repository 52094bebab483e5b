#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reduces over two GPUs, or one, with the NCCL of the package nvidia-nccl-cuNN
alone: by its C interface and libcuda, without PyTorch. Prints the version, how
many ranks there were and the time of a small reduction; checks every sum.

--find prints the library's path, or why there is none, and ends."""
import ctypes
import glob
import os
import subprocess
import sys
import sysconfig
import time

NCCL_FLOAT32 = 7
NCCL_SUM = 0
ID_SIZE = 128
WORDS = (1, 1000, 1 << 20)
SMALL = 64


class UniqueId(ctypes.Structure):
    _fields_ = [('internal', ctypes.c_char * ID_SIZE)]


def find_library():
    for place in {sysconfig.get_path('purelib'), sysconfig.get_path('platlib'),
                  *sys.path}:
        found = glob.glob(os.path.join(place or '.',
                                       'nvidia/nccl/lib/libnccl.so.2'))
        if found:
            return found[0]
    return None


def check(result, what):
    if result:
        sys.exit('%s failed with %d' % (what, result))


class Gpu:
    """One GPU's primary context and buffers, by libcuda."""

    def __init__(self, ordinal):
        self.cuda = ctypes.CDLL('libcuda.so.1')
        device = ctypes.c_int()
        context = ctypes.c_void_p()
        self.call('cuInit', 0)
        self.call('cuDeviceGet', ctypes.byref(device), ordinal)
        self.call('cuDevicePrimaryCtxRetain', ctypes.byref(context), device)
        self.call('cuCtxSetCurrent', context)

    def call(self, name, *args):
        check(getattr(self.cuda, name)(*args), name)

    def alloc(self, size):
        addr = ctypes.c_uint64()
        self.call('cuMemAlloc_v2', ctypes.byref(addr), ctypes.c_size_t(size))
        return addr

    def sync(self):
        self.call('cuCtxSynchronize')


def gpu_count():
    cuda = ctypes.CDLL('libcuda.so.1')
    count = ctypes.c_int()
    check(cuda.cuInit(0), 'cuInit')
    check(cuda.cuDeviceGetCount(ctypes.byref(count)), 'cuDeviceGetCount')
    return count.value


def rank_run(path, rank, ranks, unique):
    gpu = Gpu(rank)
    nccl = ctypes.CDLL(path)
    comm = ctypes.c_void_p()
    ident = UniqueId()
    ctypes.memmove(ctypes.byref(ident), unique, ID_SIZE)
    nccl.ncclCommInitRank.argtypes = [ctypes.c_void_p, ctypes.c_int, UniqueId,
                                      ctypes.c_int]
    check(nccl.ncclCommInitRank(ctypes.byref(comm), ranks, ident, rank),
          'ncclCommInitRank')

    def reduce(data, count):
        check(nccl.ncclAllReduce(data, data, ctypes.c_size_t(count),
                                 NCCL_FLOAT32, NCCL_SUM, comm, None),
              'ncclAllReduce')

    for count in WORDS:
        host = (ctypes.c_float * count)(
            *((rank + 1.0) * (i % 97) for i in range(count)))
        data = gpu.alloc(ctypes.sizeof(host))
        gpu.call('cuMemcpyHtoD_v2', data, host,
                 ctypes.c_size_t(ctypes.sizeof(host)))
        reduce(data, count)
        gpu.sync()
        gpu.call('cuMemcpyDtoH_v2', host, data,
                 ctypes.c_size_t(ctypes.sizeof(host)))
        total = ranks * (ranks + 1) // 2
        wrong = sum(1 for i in range(count) if host[i] != total * (i % 97))
        if wrong:
            sys.exit('rank %d: %d of %d sums are wrong' % (rank, wrong, count))
        gpu.call('cuMemFree_v2', data)
    data = gpu.alloc(4 * SMALL)
    times = []
    for _ in range(300):
        gpu.sync()
        start = time.perf_counter()
        reduce(data, SMALL)
        gpu.sync()
        times.append(time.perf_counter() - start)
    times.sort()
    if rank == 0:
        version = ctypes.c_int()
        check(nccl.ncclGetVersion(ctypes.byref(version)), 'ncclGetVersion')
        print('result NCCL %d, %d rank(s), all_reduce of %d bytes: median '
              '%.1f us' % (version.value, ranks, 4 * SMALL,
                           times[len(times) // 2] * 1e6), flush=True)
    check(nccl.ncclCommDestroy(comm), 'ncclCommDestroy')


def main():
    path = find_library()
    if not path:
        sys.exit('no package nvidia-nccl-cuNN is installed; pip install '
                 'nvidia-nccl-cu13')
    if sys.argv[1:] == ['--find']:
        print(path)
        return
    if len(sys.argv) == 4:
        rank_run(path, int(sys.argv[1]), int(sys.argv[2]),
                 bytes.fromhex(sys.argv[3]))
        return
    ranks = min(2, gpu_count())
    unique = UniqueId()
    check(ctypes.CDLL(path).ncclGetUniqueId(ctypes.byref(unique)),
          'ncclGetUniqueId')
    # The process that made the identifier serves it until all have met.
    others = [subprocess.Popen([sys.executable, __file__, str(rank),
                                str(ranks), bytes(unique).hex()])
              for rank in range(ranks)]
    failed = [rank for rank, other in enumerate(others) if other.wait()]
    if failed:
        sys.exit('ranks failed: %s' % failed)


if __name__ == '__main__':
    main()
