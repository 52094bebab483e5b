#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""PyTorch's and CuPy's memory through libgpumem, by ctypes.

  test_python.py --lib LIBGPUMEM [--backend NAME] [--part NAME]

What the CPU writes through a mapping, the framework compares on the GPU; what
it computes on the GPU, gpumem_read() reads. Prints a line a check and a count;
exits 0, or 1 when something failed, or 77 when nothing could be tried.

Each part runs in a process of its own, as allocators are chosen at the start:
"works" parts must work, "either" parts must work or be refused with a reason.
"""
import argparse
import ctypes
import errno
import os
import re
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    np = None

# name: framework, environment, what must come of it
PARTS = {
    "torch": ("torch", {}, "works"),
    "torch-expandable": (
        "torch",
        {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"},
        "either"),
    "torch-async": (
        "torch",
        {"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"},
        "either"),
    "cupy": ("cupy", {}, "works"),
    "cupy-no-pool": ("cupy", {}, "works"),
    "cupy-async": ("cupy", {}, "either"),
}
COUNTS = (1, 7, 1000, 65537, 1 << 20, 30_000_001)
READ_BY_LOADS = 65536
SKIPPED = 77


class Skip(Exception):
    """This machine cannot show it; why."""


class Refused(Exception):
    """gpumem_pin() gave an error."""

    def __init__(self, code, why):
        super().__init__(why)
        self.code = code


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("backend", ctypes.c_char_p),
                ("device", ctypes.c_int), ("flags", ctypes.c_uint),
                ("device_id", ctypes.c_char_p)]


class Gpumem:
    """A session."""

    def __init__(self, path, backend):
        self.lib = ctypes.CDLL(path)
        pointer, u64 = ctypes.c_void_p, ctypes.c_uint64
        for name, arguments in {
                "open": [ctypes.POINTER(Options), ctypes.POINTER(pointer)],
                "close": [pointer],
                "pin": [pointer, u64, u64, ctypes.c_uint,
                        ctypes.POINTER(pointer)],
                "unpin": [pointer],
                "map": [pointer, ctypes.POINTER(pointer)],
                "unmap": [pointer],
                "read": [pointer, u64, pointer, ctypes.c_size_t],
                "write": [pointer, u64, pointer, ctypes.c_size_t],
        }.items():
            getattr(self.lib, "gpumem_" + name).argtypes = arguments
        self.lib.gpumem_last_error.restype = ctypes.c_char_p
        self.session = pointer()
        options = Options(ctypes.sizeof(Options),
                          backend.encode() if backend else None, 0, 0, None)
        code = self.lib.gpumem_open(ctypes.byref(options),
                                    ctypes.byref(self.session))
        if code:
            raise Skip(f"gpumem_open gives {code}: {self.why()}")

    def why(self):
        return self.lib.gpumem_last_error().decode(errors="replace")

    def call(self, name, *arguments):
        code = getattr(self.lib, "gpumem_" + name)(*arguments)
        if code:
            raise AssertionError(f"gpumem_{name} gives {code}: {self.why()}")

    def pin(self, addr, length):
        return Pin(self, addr, length)

    def close(self):
        self.call("close", self.session)


class Pin:
    """A pinned range; in the end unpinned."""

    def __init__(self, gpumem, addr, length):
        self.gpumem, self.length = gpumem, length
        self.buf = ctypes.c_void_p()
        code = gpumem.lib.gpumem_pin(gpumem.session, addr, length, 0,
                                     ctypes.byref(self.buf))
        if code:
            raise Refused(-code, gpumem.why())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gpumem.call("unpin", self.buf)

    def map(self):
        """The mapping as an array of bytes; dead after the unpin."""
        cpu = ctypes.c_void_p()
        self.gpumem.call("map", self.buf, ctypes.byref(cpu))
        area = (ctypes.c_ubyte * self.length).from_address(cpu.value)
        return np.frombuffer(area, dtype=np.uint8)

    def read(self):
        out = np.zeros(self.length, dtype=np.uint8)
        self.gpumem.call("read", self.buf, 0, out.ctypes.data, self.length)
        return out

    def write(self, offset, data):
        data = np.ascontiguousarray(data)
        self.gpumem.call("write", self.buf, offset, data.ctypes.data,
                         data.nbytes)


class Torch:
    """PyTorch. Arrays have one dimension; as_bytes() shares their memory."""

    def __init__(self, part):
        try:
            import torch
        except ImportError as error:
            raise Skip(f"PyTorch cannot be imported: {error}") from None
        if not torch.cuda.is_available():
            raise Skip("PyTorch sees no GPU")
        self.torch = torch
        self.dtypes = {str(dtype).rsplit(".", maxsplit=1)[-1]: dtype
                       for dtype in (torch.uint8, torch.int16, torch.float16,
                                     torch.bfloat16, torch.int32,
                                     torch.float32, torch.int64,
                                     torch.float64)}
        note = ""
        if part == "torch-expandable":
            self.keep = self.empty("uint8", 1)
            segments = torch.cuda.memory_snapshot()
            note = f", expandable: {segments[0].get('is_expandable')}"
        self.about = (f"PyTorch {torch.__version__}, CUDA "
                      f"{torch.version.cuda}{note}")

    def empty(self, dtype, count):
        return self.torch.empty(count, dtype=self.dtypes[dtype], device="cuda")

    @staticmethod
    def addr(array):
        return array.data_ptr()

    def as_bytes(self, array):
        return array.view(self.torch.uint8)

    @staticmethod
    def nbytes(array):
        return array.numel() * array.element_size()

    def same(self, array, data):
        """Compared on the GPU, and summed up there."""
        there = self.as_bytes(array)
        want = self.torch.from_numpy(data.copy()).to("cuda")
        return (self.torch.equal(there, want) and
                int(there.to(self.torch.int64).sum()) == int(data.sum()))

    def compute(self, array):
        """Byte i becomes (7 i + 3) mod 251."""
        there = self.as_bytes(array)
        number = self.torch.arange(there.numel(), device="cuda")
        there.copy_((number * 7 + 3) % 251)
        self.torch.cuda.synchronize()

    def trim(self):
        self.torch.cuda.synchronize()
        self.torch.cuda.empty_cache()


class Cupy:
    """The same for CuPy."""

    def __init__(self, part):
        try:
            import cupy
        except ImportError as error:
            raise Skip(f"CuPy cannot be imported: {error}") from None
        try:
            if not cupy.cuda.runtime.getDeviceCount():
                raise Skip("CuPy sees no GPU")
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise Skip(f"CuPy sees no GPU: {error}") from None
        if part == "cupy-no-pool":
            cupy.cuda.set_allocator(None)
        elif part == "cupy-async":
            cupy.cuda.set_allocator(cupy.cuda.MemoryAsyncPool().malloc)
        self.cupy = cupy
        self.dtypes = ("uint8", "int16", "float16", "int32", "float32",
                       "int64", "float64")
        self.about = (f"CuPy {cupy.__version__}, CUDA runtime "
                      f"{cupy.cuda.runtime.runtimeGetVersion()}")
        # CuPy compiles its kernels, for which it needs CUDA's headers.
        self.compiles = True
        try:
            int((cupy.arange(3) + 1).sum())
        except Exception as error:  # pylint: disable=broad-except
            self.compiles = False
            text = str(error).strip().splitlines() or [""]
            self.about += (", compared by cudaMemcpy: CuPy cannot compile "
                           f"here ({type(error).__name__}: {text[-1][:100]})")

    def empty(self, dtype, count):
        return self.cupy.empty(count, dtype=dtype)

    @staticmethod
    def addr(array):
        return array.data.ptr

    def as_bytes(self, array):
        return array.view(self.cupy.uint8)

    @staticmethod
    def nbytes(array):
        return array.nbytes

    def same(self, array, data):
        there = self.as_bytes(array)
        if not self.compiles:
            return bool((there.get() == data).all())
        want = self.cupy.asarray(data)
        return (bool((there == want).all()) and
                int(there.sum(dtype=self.cupy.int64)) == int(data.sum()))

    def compute(self, array):
        there = self.as_bytes(array)
        if self.compiles:
            number = self.cupy.arange(there.size, dtype=self.cupy.int64)
            there[...] = ((number * 7 + 3) % 251).astype(self.cupy.uint8)
        else:
            there.set(computed(there.size))
        self.cupy.cuda.Device().synchronize()

    def trim(self):
        self.cupy.cuda.Device().synchronize()
        self.cupy.get_default_memory_pool().free_all_blocks()


def computed(length):
    return ((np.arange(length, dtype=np.int64) * 7 + 3) % 251).astype(np.uint8)


def need(condition, what):
    if not condition:
        raise AssertionError(what)


def check_array(gpumem, framework, array, random):
    """Both directions; the bytes around the array stay as they are."""
    length = framework.nbytes(array)
    data = random.integers(0, 256, length, dtype=np.uint8)
    with gpumem.pin(framework.addr(array), length) as pin:
        view = pin.map()
        view[:] = data
        need(framework.same(array, data),
             "the GPU sees other bytes than the CPU wrote by a mapping")
        data[length // 2:] ^= 0x5A
        pin.write(length // 2, data[length // 2:])
        need(framework.same(array, data),
             "the GPU sees other bytes than gpumem_write() wrote")
        framework.compute(array)
        need((pin.read() == computed(length)).all(),
             "gpumem_read() sees other bytes than the GPU computed")
        need((view[:READ_BY_LOADS] == computed(length)[:READ_BY_LOADS]).all(),
             "the mapping shows other bytes than the GPU computed")


def check_dtypes(gpumem, framework, random):
    for dtype in framework.dtypes:
        check_array(gpumem, framework, framework.empty(dtype, 12345), random)


def check_counts(gpumem, framework, random):
    for count in COUNTS:
        check_array(gpumem, framework, framework.empty("uint8", count), random)


def check_slices(gpumem, framework, random):
    whole = framework.empty("int32", 1_000_000)
    zero = np.zeros(framework.nbytes(whole), dtype=np.uint8)
    for first, end in ((1, 2), (3, 1027), (16383, 81921), (999_999, 1_000_000)):
        with gpumem.pin(framework.addr(whole), zero.size) as pin:
            pin.write(0, zero)
        check_array(gpumem, framework, whole[first:end], random)
        want = zero.copy()
        want[4 * first:4 * end] = computed(4 * (end - first))
        need(framework.same(whole, want),
             f"elements around {first} to {end} were changed")


def check_together(gpumem, framework, random):
    """Arrays out of one block of the framework's, all pinned at once."""
    arrays = [framework.empty("uint8", 3000 + i) for i in range(20)]
    data = [random.integers(0, 256, framework.nbytes(a), dtype=np.uint8)
            for a in arrays]
    pins = [gpumem.pin(framework.addr(a), framework.nbytes(a))
            for a in arrays]
    for pin, bytes_ in zip(pins, data):
        pin.map()[:] = bytes_
    for array, bytes_ in zip(arrays, data):
        need(framework.same(array, bytes_), "arrays overwrite each other")
    for pin in pins:
        with pin:
            pass


def check_freed(gpumem, framework, random):
    """The framework frees the array under the pin."""
    array = framework.empty("float32", 3_000_000)
    pin = gpumem.pin(framework.addr(array), framework.nbytes(array))
    with pin:
        view = pin.map()
        view[:100] = 1
        del array
        framework.trim()
        view[:100] = 2
        need((view[:100] == 2).all(), "the mapping shows something else")
    check_array(gpumem, framework, framework.empty("float32", 3_000_000),
                random)


CHECKS = (
    ("dtypes", check_dtypes),
    ("sizes from 1 byte to 30 MB", check_counts),
    ("slices", check_slices),
    ("20 arrays of one block at once", check_together),
    ("freed by the framework while mapped", check_freed),
)


def say(word, what, why=""):
    print(f"{word} - {what}{': ' + why if why else ''}", flush=True)


def run_part(part, lib, backend):
    """One part, in this process."""
    try:
        if np is None:
            raise Skip("NumPy cannot be imported")
        framework = {"torch": Torch, "cupy": Cupy}[PARTS[part][0]](part)
        gpumem = Gpumem(lib, backend)
    except Skip as skip:
        say("skip", part, str(skip))
        return
    print(f"# {part}: {framework.about}", flush=True)
    random = np.random.default_rng(1)
    for name, check in CHECKS:
        try:
            check(gpumem, framework, random)
            say("ok", f"{part}: {name}")
        except Refused as refused:
            # Each of the documented refusals of a kind of memory.
            if (PARTS[part][2] == "either" and str(refused) and
                    refused.code in (errno.EOPNOTSUPP, errno.EINVAL)):
                say("ok", f"{part}: refused, {errno.errorcode[refused.code]}, "
                    f"{refused}")
                break
            say("not ok", f"{part}: {name}",
                f"pin gives -{refused.code}: {refused}")
        except Exception as error:  # pylint: disable=broad-except
            text = str(error).strip().splitlines() or [""]
            say("not ok", f"{part}: {name}",
                f"{type(error).__name__}: {text[-1]}")
    gpumem.close()


def run_all(lib, backend, parts):
    """Each part in a process of its own; the exit status."""
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    with tempfile.TemporaryDirectory() as home:
        for part in parts:
            command = [sys.executable, os.path.abspath(__file__), "--lib", lib,
                       "--alone", "--part", part]
            if backend:
                command += ["--backend", backend]
            # Kernels that are compiled are kept nowhere but here.
            environment = {**os.environ, **PARTS[part][1], "HOME": home,
                           "CUPY_CACHE_DIR": home, "CUDA_CACHE_PATH": home,
                           "PYTHONDONTWRITEBYTECODE": "1"}
            try:
                done = subprocess.run(
                    command, env=environment, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    text=True, errors="replace", timeout=200, check=False)
                text, status = done.stdout, done.returncode
            except subprocess.TimeoutExpired as late:
                text, status = late.stdout or "", "timeout"
                text = text if isinstance(text, str) else text.decode()
            sys.stdout.write(text)
            if text and not text.endswith("\n"):
                print()
            for word in counts:
                counts[word] += len(re.findall(f"^{word} - ", text, re.M))
            if status:
                say("not ok", part, f"ended with {status}")
                counts["not ok"] += 1
    print(f"{counts['ok']} passed, {counts['not ok']} failed, "
          f"{counts['skip']} skipped", flush=True)
    if counts["not ok"]:
        return 1
    return 0 if counts["ok"] else SKIPPED


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lib", required=True)
    parser.add_argument("--backend")
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--alone", action="store_true",
                        help="in this process, without its environment")
    arguments = parser.parse_args()
    if arguments.alone:
        run_part(arguments.part[0], arguments.lib, arguments.backend)
        return 0
    return run_all(arguments.lib, arguments.backend,
                   arguments.part or list(PARTS))


if __name__ == "__main__":
    sys.exit(main())
