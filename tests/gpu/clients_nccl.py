#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reduces over two GPUs, or one, with the NCCL that PyTorch brings. Prints how
many ranks there were and the time of a small reduction; checks every sum."""
import os
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def rank_run(rank, ranks):
    os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
    os.environ.setdefault('MASTER_PORT', '29417')
    torch.cuda.set_device(rank)
    dist.init_process_group('nccl', rank=rank, world_size=ranks)
    for count in (1, 1000, 1 << 20):
        data = torch.arange(count, device='cuda', dtype=torch.float32) % 97
        want = data * (ranks * (ranks + 1) // 2)
        data *= rank + 1
        dist.all_reduce(data)
        if not torch.equal(data, want):
            sys.exit('rank %d: a sum of %d values is wrong' % (rank, count))
    small = torch.ones(64, device='cuda')
    times = []
    for _ in range(300):
        torch.cuda.synchronize()
        start = time.perf_counter()
        dist.all_reduce(small)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    times.sort()
    if rank == 0:
        print('result %d rank(s), all_reduce of 256 bytes: median %.1f us' %
              (ranks, times[len(times) // 2] * 1e6), flush=True)
    dist.destroy_process_group()


if __name__ == '__main__':
    RANKS = min(2, torch.cuda.device_count())
    mp.spawn(rank_run, args=(RANKS,), nprocs=RANKS)
