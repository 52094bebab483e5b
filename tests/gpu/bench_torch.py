#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The loop kernel-sync-read of `gpumem bench loops`, as PyTorch programs run it.

  bench_torch.py --lib LIBGPUMEM [--backend NAME] [--size N ...] [--time MS]
                 [--blocks N] [--json]

torch.mul(x, 2, out=y), and y on the CPU: by y.cpu(), by copy_() into pinned
memory and torch.cuda.synchronize(), and by torch.cuda.synchronize() and
gpumem_read() into pageable and pinned memory, with and without the SM copy.

The ways take turns in blocks. A block's figure is the mean time of a round, a
row's the median of its blocks; a ratio is that of neighbouring blocks, as a
median with its quartiles. "worse" is said where the median is above 1.03 and
both quartiles are above 1. Every result is compared. Exits 0 when all was
measured, 1 when a result was wrong, 2 for wrong usage, 77 where there is no
PyTorch or no GPU.
"""
import argparse
import ctypes
import json
import statistics
import sys
import time

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
from test_python import Gpumem, Skip, np  # noqa: E402

SKIPPED = 77
LIMIT = 0.03
BLOCKS_MIN = 9
WARM_UP = 2
SIZES = (4, 4096, 65536, 1 << 20)
# A tensor as large as this has an allocation of its own.
OWN_BYTES = 32 << 20


class Wrong(Exception):
    """A result that is not what the kernel wrote."""


class CopySettings(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t)] + [
        (name, ctypes.c_uint)
        for name in ("threads", "courier", "courier_idle_us",
                     "courier_life_us", "copy_engine")]


def without_sm_copy(gpumem):
    settings = CopySettings(ctypes.sizeof(CopySettings))
    gpumem.call("copy_settings_get", gpumem.session, ctypes.byref(settings))
    settings.courier = 0
    gpumem.call("copy_settings_set", gpumem.session, ctypes.byref(settings))
    return gpumem


def import_torch():
    if np is None:
        raise Skip("NumPy cannot be imported")
    try:
        import torch  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise Skip(f"PyTorch cannot be imported: {error}") from None
    if not torch.cuda.is_available():
        raise Skip("PyTorch sees no GPU")
    return torch


class Way:
    """One way to get a result: `get` gives an array of it."""

    def __init__(self, name, result, get):
        self.name, self.result, self.get = name, result, get
        self.blocks = []


class Bench:
    """One size: inputs, what must come of them, and the ways."""

    def __init__(self, torch, sessions, results, size):
        self.torch, self.results = torch, results
        self.count = size // 4
        # Two of them in turns: no result is that of the round before.
        wanted = [np.arange(self.count, dtype=np.int32) + i for i in (1, 7)]
        self.inputs = [torch.from_numpy(x).to("cuda") for x in wanted]
        self.wanted = [2 * x for x in wanted]
        self.pinned = torch.empty(self.count, dtype=torch.int32,
                                  pin_memory=True)
        self.pageable = np.zeros(self.count, dtype=np.int32)
        self.pins = []
        self.ways = {
            "pageable": [self.gpumem_way(name, sessions[name], self.pageable)
                         for name in sessions] + [self.torch_cpu()],
            "pinned": [self.gpumem_way(name, sessions[name],
                                       self.pinned.numpy())
                       for name in sessions] + [self.torch_copy()],
        }

    def result(self, way):
        """A pin makes copies of the whole allocation wait, and of what
        PyTorch puts there later: each way keeps an allocation of its own."""
        if way not in self.results:
            self.results[way] = self.torch.empty(
                OWN_BYTES // 4, dtype=self.torch.int32, device="cuda")
        return self.results[way][:self.count]

    def gpumem_way(self, name, gpumem, host):
        result = self.result(f"{name}, {host is self.pageable}")
        size = 4 * self.count
        pin = gpumem.pin(result.data_ptr(), size)
        pin.map()
        self.pins.append(pin)
        read, to = gpumem.lib.gpumem_read, host.ctypes.data

        def get():
            self.torch.cuda.synchronize()
            if read(pin.buf, 0, to, size):
                raise Wrong(f"gpumem_read fails: {gpumem.why()}")
            return host
        return Way(name, result, get)

    def torch_cpu(self):
        result = self.result("cpu")
        return Way("y.cpu()", result, lambda: result.cpu().numpy())

    def torch_copy(self):
        result, view = self.result("copy"), self.pinned.numpy()

        def get():
            self.pinned.copy_(result, non_blocking=True)
            self.torch.cuda.synchronize()
            return view
        return Way("copy_() to pinned", result, get)

    def round(self, way, i):
        start = time.perf_counter()
        self.torch.mul(self.inputs[i % 2], 2, out=way.result)
        got = way.get()
        seconds = time.perf_counter() - start
        if not np.array_equal(got, self.wanted[i % 2]):
            raise Wrong(f"{way.name}, {4 * self.count} bytes: the result is "
                        "not what the kernel wrote")
        return seconds

    def block(self, way, seconds):
        self.torch.cuda.synchronize()
        for i in range(WARM_UP):
            self.round(way, i)
        taken, count, end = 0.0, 0, time.perf_counter() + seconds
        while not count or time.perf_counter() < end:
            taken += self.round(way, count)
            count += 1
        way.blocks.append(1e6 * taken / count)

    def measure(self, seconds, blocks):
        """A row for each kind of memory."""
        for ways in self.ways.values():
            for _ in range(blocks):
                for way in ways:
                    self.block(way, seconds)
        return [self.row(host, ways) for host, ways in self.ways.items()]

    def row(self, host, ways):
        ours, without, theirs = ways
        return {
            "bytes": 4 * self.count,
            "host": host,
            "peer": theirs.name,
            "us": {way.name: statistics.median(way.blocks) for way in ways},
            "ratio": {theirs.name: ratio(ours.blocks, theirs.blocks),
                      without.name: ratio(ours.blocks, without.blocks)},
        }

    def close(self):
        for pin in self.pins:
            with pin:
                pass


def ratio(ours, theirs):
    """As tools/bench/ratio.c has it."""
    ratios = [a / b for a, b in zip(ours, theirs)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    verdict = "same"
    if middle > 1 + LIMIT and low > 1:
        verdict = "worse"
    elif middle < 1 - LIMIT and high < 1:
        verdict = "faster"
    return {"median": middle, "p25": low, "p75": high, "verdict": verdict}


def print_rows(rows):
    print(f"{'bytes':>8} {'host':8} {'gpumem':>9} {'without':>9} "
          f"{'PyTorch':>9}  {'to PyTorch':20} {'to without':20} verdict")
    for row in rows:
        ratios = [f"{r['median']:.2f} ({r['p25']:.2f}..{r['p75']:.2f})"
                  for r in row["ratio"].values()]
        times = " ".join(f"{us:9.2f}" for us in row["us"].values())
        print(f"{row['bytes']:8} {row['host']:8} {times}  {ratios[0]:20} "
              f"{ratios[1]:20} {row['ratio'][row['peer']]['verdict']}, "
              f"{row['peer']}")


def measure(arguments):
    torch = import_torch()
    sessions = {
        "gpumem": Gpumem(arguments.lib, arguments.backend),
        "gpumem without SM copy": without_sm_copy(
            Gpumem(arguments.lib, arguments.backend)),
    }
    about = (f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, "
             f"CUDA {torch.version.cuda}")
    rows, results = [], {}
    for size in arguments.size or SIZES:
        bench = Bench(torch, sessions, results, size)
        rows += bench.measure(arguments.time / 1e3, arguments.blocks)
        bench.close()
    for session in sessions.values():
        session.close()
    return about, rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lib", required=True)
    parser.add_argument("--backend")
    parser.add_argument("--size", type=int, action="append")
    parser.add_argument("--time", type=int, default=50)
    parser.add_argument("--blocks", type=int, default=BLOCKS_MIN)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.blocks < BLOCKS_MIN:
        parser.error(f"--blocks: from {BLOCKS_MIN} on")
    if arguments.time < 0:
        parser.error("--time: from 0 on")
    if any(n < 4 or n % 4 or n > OWN_BYTES for n in arguments.size or ()):
        parser.error(f"--size: a multiple of 4, up to {OWN_BYTES}")
    try:
        about, rows = measure(arguments)
    except Skip as skip:
        print(f"skip - PyTorch's loop: {skip}")
        return SKIPPED
    except Wrong as wrong:
        print(f"bench_torch: {wrong}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps({"machine": about, "rows": rows}, indent=2))
    else:
        print(f"torch.mul(x, 2, out=y), y on the CPU: {about}\n"
              f"microseconds, medians of {arguments.blocks} blocks of "
              f"{arguments.time} ms")
        print_rows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
