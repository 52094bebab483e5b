#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of `gpumem bench` and `gpumem tune` on the simulated GPU.

What is measured is not looked at: the machine that runs tests is busy, and the
GPU is none.

Usage: test_bench.py GPUMEM FAKE_COPY [unittest options]
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

GPUMEM = os.path.abspath(sys.argv.pop(1))
FAKE_COPY = os.path.abspath(sys.argv.pop(1))
TORCH = os.path.join(os.path.dirname(__file__), "../gpu/bench_torch.py")
PLOT = os.path.join(os.path.dirname(__file__), "../../bench/plot.sh")

OK, MISMATCH, USAGE, FAILED = 0, 1, 2, 3
BENCHES = ("copy", "pingpong", "threads", "stall", "api", "pin", "loops")
COMMANDS = [["bench", bench] for bench in BENCHES] + [["tune"]]


def gpumem(*args, env=None):
    full = {k: v for k, v in os.environ.items() if not k.startswith("GPUMEM_")}
    full["GPUMEM_BACKEND"] = "sim"
    full.update(env or {})
    return subprocess.run(
        [GPUMEM, *args],
        env=full,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def fake_gnuplot(folder, text):
    """A gnuplot that does as text says; where PATH has to point."""
    path = os.path.join(folder, "gnuplot")
    with open(path, "w", encoding="ascii") as script:
        script.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return {"PATH": folder + ":" + os.environ["PATH"]}


HAVE_JSON = gpumem("info", "--json").returncode == OK
needs_json = unittest.skipUnless(HAVE_JSON, "this build has no JSON support")
needs_gnuplot = unittest.skipUnless(
    shutil.which("gnuplot"), "gnuplot is not installed"
)


class BenchTest(unittest.TestCase):
    def run_ok(self, *args, env=None):
        done = gpumem(*args, env=env)
        self.assertEqual(done.returncode, OK, done.stderr)
        return done.stdout

    def run_json(self, *args, env=None):
        return json.loads(self.run_ok(*args, "--json", env=env))

    def run_bad(self, status, *args, says, env=None):
        done = gpumem(*args, env=env)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertTrue(done.stderr.startswith("gpumem"), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(says, done.stderr)
        return done

    def folder(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name


class Options(BenchTest):
    def test_help(self):
        for command in COMMANDS:
            text = self.run_ok(*command, "--help")
            self.assertTrue(
                text.startswith("Usage: gpumem " + " ".join(command))
            )
            for line in text.splitlines():
                self.assertLessEqual(len(line), 80, line)
        text = self.run_ok("bench", "--help")
        for bench in BENCHES:
            self.assertIn(f"  {bench} ", text)

    def test_unknown(self):
        for command in COMMANDS:
            self.run_bad(USAGE, *command, "--frob", says="--frob")
            self.run_bad(USAGE, *command, "extra", says="extra")
            self.run_bad(USAGE, *command, "--device=x", says="--device")
            self.run_bad(USAGE, *command, "--backend", says="missing")

    def test_values(self):
        for args, says in (
            (["copy", "--size=0"], "--size"),
            (["copy", "--min=8K", "--max=4K"], "--min"),
            (["copy", "--min=5", "--max=7"], "power of two"),
            (["copy", "--direction=up"], "neither write nor read"),
            (["copy", "--host=hot"], "neither pageable nor pinned"),
            (["copy", "--align=4096"], "--align"),
            (["copy", *["--align=1"] * 9], "8 times"),
            (["copy", *["--size=1"] * 65], "64 times"),
            (["copy", "--method=magic"], "courier"),
            (["copy", "--method=gpumem"], "--method"),
            (["copy", "--method=cuMemcpy"], "--method"),
            (["copy", "--classic=some"], "neither best nor all"),
            (["copy", "--time=-1"], "--time"),
            (["copy", "--pause=x"], "--pause"),
            (["pingpong", "--size=6"], "multiple of 4"),
            (["pingpong", "--rounds=0"], "--rounds"),
            (["threads", "--threads=17"], "--threads"),
            (["stall", "--seconds=0"], "--seconds"),
            (["api", "--sessions=0"], "--sessions"),
            (["loops", "--loop=head"], "did you mean head-of-line?"),
            (["loops", "--loop=nothing"], "--list names them"),
            (["loops", "--loop="], 'no loop is called ""'),
            (["loops", "--size=0"], "--size"),
            (["loops", "--size=6"], "no multiple of 4"),
            (["loops", "--size=2G"], "more than 1 GiB"),
            (["loops", *["--size=4"] * 17], "16 times"),
            (["loops", "--large=4"], "--large"),
            (["loops", "--large=8G"], "more than 4 GiB"),
            (["loops", "--time=10001"], "--time"),
            (["loops", "--blocks=8"], "from 9 to 101"),
            (["loops", "--blocks=102"], "from 9 to 101"),
            (["loops", "--plot="], "give a folder"),
            (["loops", "--list=all"], "takes no value"),
            (["loops", "--worker"], "for the bench itself"),
        ):
            self.run_bad(USAGE, "bench", *args, says=says)
        self.run_bad(USAGE, "tune", "--show", "--reset", says="one of them")

    def test_too_large(self):
        for bench in ("copy", "threads", "api"):
            self.run_bad(
                FAILED, "bench", bench, "--size=1000000G",
                says="--size: 1000000 GiB is more than the GPU's memory of",
            )
        self.run_bad(
            FAILED, "bench", "loops", "--size=1G",
            says="--size: 3 GiB is more than the GPU's memory of",
        )
        self.run_bad(
            FAILED, "bench", "loops", "--loop=head-of-line", "--large=4G",
            says="--large: 12 GiB is more than the GPU's memory of",
        )


class Copy(BenchTest):
    SMALL = ("bench", "copy", "--time=0", "--max=256")

    def test_text(self):
        text = self.run_ok(*self.SMALL)
        self.assertIn("SIMULATED", text)
        self.assertIn("every byte of every way was right", text)
        self.assertRegex(text, r"\bbest peer\b.* x cuMemcpy\b")
        for word in ("target", "missed", ": met"):
            self.assertNotIn(word, text)

    def test_targets(self):
        text = self.run_ok(*self.SMALL, "--targets")
        self.assertRegex(text, r"(?m)^targets .*SIMULATED")
        self.assertRegex(text, r"writes, pageable: as fast .*: (met|missed): ")
        self.assertRegex(text, r"over 30 GB/s at 4 MiB: not in this run\n")

    @needs_json
    def test_json(self):
        out = self.run_json(*self.SMALL, "--method=all", "--classic=all")
        self.assertTrue(out["simulated"])
        self.assertIn("SIMULATED", out["machine"]["gpu"])
        self.assertEqual(set(out["machine"]), {"gpu", "driver", "cpu", "date"})
        rows = {
            (row["direction"], row["host"], row["align"], row["size"]): row
            for row in out["rows"]
        }
        self.assertEqual(len(rows), 2 * 2 * 2 * 7)
        for (direction, _, _, _), row in rows.items():
            ways = set(row["us"])
            self.assertLessEqual({"gpumem", "cuMemcpy", "cpu"}, ways)
            classic = {way for way in ways if way.startswith("classic-")}
            self.assertTrue(classic)
            self.assertIn(row["best_peer"], classic | {"cuMemcpy"})
            if direction == "write":
                self.assertNotIn("courier", ways)
            for figures in row["us"].values():
                self.assertGreaterEqual(figures["count"], 51)
                self.assertLessEqual(figures["min"], figures["median"])
                self.assertLessEqual(figures["median"], figures["max"])
        places = out["64_bytes_by_place"]
        self.assertEqual(len(places["write_us"]), 64)
        self.assertEqual(len(places["read_us"]), 64)
        self.assertNotIn("targets", out)
        out = self.run_json(*self.SMALL, "--targets")
        self.assertEqual(len(out["targets"]), 11 + 9)
        for target in out["targets"]:
            self.assertIn(target["result"], ("met", "missed", None))

    @needs_json
    def test_choice(self):
        out = self.run_json(
            *("bench", "copy", "--time=0", "--size=100", "--size=4097"),
            *("--align=3", "--direction=read", "--host=pinned"),
        )
        self.assertEqual(
            [
                (row["size"], row["align"], row["direction"], row["host"])
                for row in out["rows"]
            ],
            [(100, 3, "read", "pinned"), (4097, 3, "read", "pinned")],
        )
        self.assertEqual(out["64_bytes_by_place"]["write_us"], [])

    def test_wrong_bytes(self):
        """The planted mistakes are found, and named."""
        env = {
            "LD_PRELOAD": FAKE_COPY,
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        }
        self.run_ok(*self.SMALL, env=env)
        self.run_bad(
            MISMATCH, "bench", "copy", "--time=0", "--size=4K",
            "--direction=read", says="byte 4095 is", env=env,
        )
        done = self.run_bad(
            MISMATCH, "bench", "copy", "--time=0", "--size=2K",
            "--host=pinned", says="byte 2048 is 0x11 and not 0xc3", env=env,
        )
        self.assertIn("gpumem: a write of 2048 bytes", done.stderr)

    def test_pause(self):
        self.run_ok(
            "bench", "copy", "--time=0", "--size=64", "--pause=10", "--align=0"
        )

    @needs_json
    def test_save(self):
        file = os.path.join(self.folder(), "copy.json")
        text = self.run_ok(*self.SMALL, "--save", file)
        self.assertIn("every byte", text)
        with open(file, encoding="utf-8") as saved:
            self.assertEqual(len(json.load(saved)["rows"]), 56)
        self.run_bad(FAILED, *self.SMALL, "--save=/dev/full", says="space")

    def not_measured(self, *args, says, env=None):
        """Refused before anything is measured."""
        done = self.run_bad(FAILED, *args, says=says, env=env)
        self.assertEqual(done.stdout, "")

    def test_without_gnuplot(self):
        folder = os.path.join(self.folder(), "plots")
        self.not_measured(
            *self.SMALL, "--plot", folder,
            says="gnuplot is not installed", env={"PATH": "/nowhere"},
        )
        self.assertFalse(os.path.exists(folder))
        self.run_bad(
            FAILED, "bench", "copy", "--replot", "/nowhere", says="copy.dat"
        )

    def gnuplot(self, text):
        return fake_gnuplot(self.folder(), text)

    def test_gnuplot_that_cannot_draw(self):
        done = gpumem(
            *self.SMALL, "--plot", self.folder(),
            env=self.gnuplot("echo no pngcairo >&2; exit 1\n"),
        )
        self.assertEqual(done.returncode, FAILED)
        self.assertEqual(done.stdout, "")
        self.assertIn("no pngcairo\n", done.stderr)

    @needs_json
    def test_places_that_cannot_be_written(self):
        env = self.gnuplot("exit 0\n")
        file = os.path.join(self.folder(), "file")
        with open(file, "w", encoding="ascii"):
            pass
        for folder in ("/nonexistent/plots", file, file + "/plots"):
            self.not_measured(
                *self.SMALL, "--plot=" + folder, says="--plot: ", env=env
            )
        for option in ("--plot", "--replot"):
            self.run_bad(
                USAGE, *self.SMALL, option + "=", says="give a folder"
            )
        for name in ("/nonexistent/f", os.path.dirname(file), file + "/f", ""):
            self.not_measured(*self.SMALL, "--save=" + name, says="--save: ")
        self.not_measured(
            "tune", "--force", says="cannot be written",
            env={"XDG_CACHE_HOME": file},
        )
        self.not_measured(
            "tune", "--force", says="XDG_CACHE_HOME",
            env={"XDG_CACHE_HOME": "", "HOME": ""},
        )

    @needs_json
    def test_looking_changes_nothing(self):
        """A run that fails leaves an earlier one's files as they are."""
        folder = self.folder()
        saved = os.path.join(folder, "copy.json")
        data = os.path.join(folder, "copy.dat")
        for name in (saved, data):
            with open(name, "w", encoding="ascii") as out:
                out.write("earlier")
        self.run_bad(
            FAILED, "bench", "copy", "--size=1T", "--save", saved,
            "--plot", folder, says="memory", env=self.gnuplot("exit 0\n"),
        )
        for name in (saved, data):
            with open(name, encoding="ascii") as left:
                self.assertEqual(left.read(), "earlier")

    @needs_json
    def test_failing_at_the_end(self):
        """The figures were printed anyway, and each place gets its own."""
        folder = self.folder()
        done = gpumem(
            *self.SMALL, "--save=/dev/full", "--plot", folder,
            env=self.gnuplot("exit 0\n"),
        )
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("every byte of every way was right", done.stdout)
        self.assertIn("--save: /dev/full: No space", done.stderr)
        with open(os.path.join(folder, "copy.dat"), encoding="utf-8") as data:
            self.assertIn("SIMULATED", data.readline())

    @needs_gnuplot
    def test_plot(self):
        folder = self.folder()
        self.run_ok(*self.SMALL, "--plot", folder)
        self.check_plots(folder)

    @needs_gnuplot
    @needs_json
    def test_plot_script(self):
        folder = self.folder()
        saved = os.path.join(folder, "copy.json")
        self.run_ok(*self.SMALL, "--save", saved)
        subprocess.run(
            ["sh", PLOT, saved, folder],
            env={**os.environ, "GPUMEM_TOOL": GPUMEM},
            check=True,
        )
        self.check_plots(folder)

    def check_plots(self, folder):
        for direction in ("write", "read"):
            for host in ("pageable", "pinned"):
                for kind in ("latency", "bandwidth"):
                    name = f"{folder}/copy-{direction}-{host}-{kind}"
                    with open(name + ".png", "rb") as png:
                        self.assertEqual(png.read(4), b"\x89PNG")
                    with open(name + ".svg", encoding="utf-8") as svg:
                        text = svg.read()
                    self.assertIn("<svg", text)
                    self.assertIn("SIMULATED", text)
                    self.assertIn("cuMemcpy", text)


class Loops(BenchTest):
    SMALL = ("bench", "loops", "--time=0", "--large=64K")
    TIMES = {
        "kernel-sync-read": ["iteration"],
        "write-launch-read": ["iteration"],
        "read-beside-alloc": ["read", "alloc, free, synchronize"],
        "processes": ["read"],
        "busy-gpu": ["read", "product"],
        "head-of-line": ["short read", "long read"],
    }

    def run_loop(self, name, *args):
        """Its rows, by what they are of."""
        out = self.run_json(*self.SMALL, "--loop", name, *args)
        self.assertTrue(out["simulated"])
        self.assertEqual(out["blocks"], 9)
        for row in out["rows"]:
            self.assertEqual(row["loop"], name)
            self.check_row(row)
        return {
            (row["what"], row["bytes"], row["host"], row["processes"]): row
            for row in out["rows"]
        }

    def check_row(self, row):
        self.assertEqual(
            list(row["us"]), ["gpumem", "without_sm_copy", "cuMemcpy"]
        )
        for figures in row["us"].values():
            self.assertEqual(figures["count"], 9)
            self.assertGreater(figures["min"], 0)
        for ratio in row["ratio"].values():
            self.assertLessEqual(ratio["p25"], ratio["median"])
            self.assertLessEqual(ratio["median"], ratio["p75"])
            self.assertIn(ratio["verdict"], ("faster", "same", "worse"))
            if ratio["verdict"] == "worse":
                self.assertGreaterEqual(ratio["median"], 1.03)
                self.assertGreaterEqual(ratio["p25"], 1)
        self.assertEqual(row["verdict"], row["ratio"]["cuMemcpy"]["verdict"])

    def expect(self, rows, sizes, hosts=("pageable",), processes=(1,)):
        (name,) = {row["loop"] for row in rows.values()}
        self.assertEqual(
            set(rows),
            {
                (what, size, host, count)
                for what in self.TIMES[name]
                for size in sizes
                for host in hosts
                for count in processes
            },
        )

    SIZES = ("--size=64", "--size=64K")

    @needs_json
    def test_kernel_sync_read(self):
        rows = self.run_loop("kernel-sync-read", *self.SIZES)
        self.expect(rows, (64, 65536), hosts=("pageable", "pinned"))
        for (_, _, host, _), row in rows.items():
            also = ["async copy, one synchronize"] * (host == "pinned")
            self.assertEqual(list(row["also_us"]), also)

    @needs_json
    def test_no_graph(self):
        """The simulated CUDA has none: left out with a word, not an error."""
        args = (*self.SMALL, "--loop=kernel-sync-read", "--size=64")
        why = "libcuda has no cuStreamBeginCapture_v2"
        self.assertIn(f"no CUDA graph: {why}\n", self.run_ok(*args))
        self.assertEqual(self.run_json(*args)["no_graph"], why)

    @needs_json
    def test_write_launch_read(self):
        self.expect(
            self.run_loop("write-launch-read", *self.SIZES), (64, 65536)
        )

    @needs_json
    def test_read_beside_alloc(self):
        rows = self.run_loop("read-beside-alloc", *self.SIZES)
        self.expect(rows, (64, 65536))
        for (what, *_), row in rows.items():
            self.assertEqual(
                list(row["also_us"]), ["nobody reads"] * (what != "read")
            )

    @needs_json
    def test_processes(self):
        rows = self.run_loop("processes", *self.SIZES)
        self.expect(rows, (64, 65536), processes=(1, 2, 4))

    @needs_json
    def test_busy_gpu(self):
        rows = self.run_loop("busy-gpu", *self.SIZES)
        self.expect(rows, (64, 65536))
        for (what, *_), row in rows.items():
            if what == "product":
                self.assertEqual(len(row["per_second"]), 4)
                self.assertIn("nobody reads", row["also_us"])
            else:
                self.assertNotIn("per_second", row)

    @needs_json
    def test_head_of_line(self):
        self.assertEqual(
            [key[:2] for key in self.run_loop("head-of-line", "--blocks=9")],
            [("short read", 4096), ("long read", 65536)],
        )

    def test_text(self):
        text = self.run_ok(
            *self.SMALL, "--size=4K", "--loop=read-beside-alloc",
            "--loop=head-of-line",
        )
        self.assertIn("SIMULATED", text)
        self.assertIn("every read was right\n", text)
        self.assertRegex(text, r"worse than cuMemcpy: \d of 4 rows \(SIM")
        rows = re.findall(
            r"^(\S+) +(\S.*?) +(\d+) pageable +[0-9.]+ +[0-9.]+ +[0-9.]+  "
            r"[0-9.]+ \([0-9.]+\) +[0-9.]+ \([0-9.]+\) +"
            r"(?:faster|same|worse)$",
            text, re.M,
        )
        self.assertEqual(
            rows,
            [
                ("read-beside-alloc", "read", "4096"),
                ("read-beside-alloc", "alloc, free, synchronize", "4096"),
                ("head-of-line", "short read", "4096"),
                ("head-of-line", "long read", "65536"),
            ],
        )

    def test_list(self):
        names = [
            line.split()[0]
            for line in self.run_ok("bench", "loops", "--list").splitlines()
        ]
        self.assertEqual(names, list(self.TIMES))

    def test_wrong_words(self):
        """A planted mistake ends each loop."""
        env = {
            "LD_PRELOAD": FAKE_COPY,
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        }
        for name in self.TIMES:
            done = gpumem(
                *self.SMALL, "--size=4K", "--loop", name, env=env
            )
            self.assertEqual(done.returncode, MISMATCH, done.stderr)
            self.assertIn(
                f"gpumem bench loops: {name}, gpumem: the word at offset 4092 "
                "came back as",
                done.stderr,
            )

    def test_worker_alone(self):
        self.run_bad(
            FAILED, "bench", "loops", "--worker", "--size=4K", says="is gone"
        )

    @needs_json
    def test_save(self):
        file = os.path.join(self.folder(), "loops.json")
        args = (*self.SMALL, "--loop=write-launch-read", "--size=64")
        self.assertIn("every read", self.run_ok(*args, "--save", file))
        with open(file, encoding="utf-8") as saved:
            self.assertEqual(len(json.load(saved)["rows"]), 1)
        out = self.run_json(*args, "--save", file)
        with open(file, encoding="utf-8") as saved:
            self.assertEqual(json.load(saved), out)
        done = self.run_bad(FAILED, *args, "--save=/dev/full", says="space")
        self.assertIn("every read", done.stdout)

    def test_places_that_cannot_be_written(self):
        """Found before anything is measured."""
        env = fake_gnuplot(self.folder(), "exit 0\n")
        for args, says in (
            (["--save=/nonexistent/f"], "--save: "),
            (["--plot=/nonexistent/plots"], "--plot: "),
        ):
            if args[0].startswith("--save") and not HAVE_JSON:
                continue
            done = self.run_bad(
                FAILED, *self.SMALL, *args, says=says, env=env
            )
            self.assertEqual(done.stdout, "")
        done = self.run_bad(
            FAILED, *self.SMALL, "--plot", self.folder(),
            says="gnuplot is not installed", env={"PATH": "/nowhere"},
        )
        self.assertEqual(done.stdout, "")

    ROWS = (
        *SMALL, "--size=64", "--size=4K", "--loop=kernel-sync-read",
        "--loop=processes", "--loop=head-of-line",
    )
    SERIES = (
        "kernel-sync-read-iteration-pageable",
        "kernel-sync-read-iteration-pinned",
        "processes-1", "processes-2", "processes-4",
        "head-of-line-pageable",
    )

    def test_plot_data(self):
        """What gnuplot is given."""
        folder = self.folder()
        env = fake_gnuplot(self.folder(), "exit 0\n")
        self.run_ok(*self.ROWS, "--plot", folder, env=env)
        with open(folder + "/loops.dat", encoding="utf-8") as data:
            title, *blocks = data.read().split("bytes:")
        self.assertIn("SIMULATED", title)
        self.assertEqual(
            [block.split("\t")[0] for block in blocks], list(self.SERIES)
        )
        for block in blocks:
            lines = block.strip().splitlines()
            self.assertEqual(len(lines), 3)
            for line in lines:
                self.assertEqual(len(line.split("\t")), 4)
        self.assertTrue(os.path.exists(folder + "/loops.gp"))

    @needs_gnuplot
    def test_plot(self):
        folder = self.folder()
        self.run_ok(*self.ROWS, "--plot", folder)
        for name in self.SERIES:
            with open(f"{folder}/loops-{name}.png", "rb") as png:
                self.assertEqual(png.read(4), b"\x89PNG")
            with open(f"{folder}/loops-{name}.svg", encoding="utf-8") as svg:
                text = svg.read()
            self.assertIn("SIMULATED", text)
            self.assertIn("gpumem without SM copy", text)


class TorchLoop(unittest.TestCase):
    """tests/gpu/bench_torch.py, as far as it goes without a GPU."""

    def test_ratio(self):
        sys.path.insert(0, os.path.dirname(TORCH))
        self.addCleanup(sys.path.remove, os.path.dirname(TORCH))
        import bench_torch  # pylint: disable=import-outside-toplevel

        hundred = [100] * 9
        for ours, verdict in (
            ([104, 105, 106] * 3, "worse"),
            ([80, 90, 95, 110, 110, 110, 120, 130, 140], "same"),
            ([102.9] * 9, "same"),
            ([50, 51, 52] * 3, "faster"),
        ):
            ratio = bench_torch.ratio(ours, hundred)
            self.assertEqual(ratio["verdict"], verdict)
        ratio = bench_torch.ratio(range(10, 100, 10), hundred)
        for key, value in (("p25", 0.3), ("median", 0.5), ("p75", 0.7)):
            self.assertAlmostEqual(ratio[key], value)

    def test_usage(self):
        for args, status in (
            (["--lib=/none", "--blocks=8"], USAGE),
            (["--lib=/none", "--size=3"], USAGE),
            ([], USAGE),
        ):
            done = subprocess.run(
                [sys.executable, TORCH, *args], check=False,
                capture_output=True,
            )
            self.assertEqual(done.returncode, status, done.stderr)

    def test_skip(self):
        """No PyTorch: a reason, not an error."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name in ("numpy", "torch"):
            with open(f"{folder.name}/{name}.py", "w", encoding="ascii") as out:
                out.write("raise ImportError('none here')\n")
        done = subprocess.run(
            [sys.executable, TORCH, "--lib=/none"], check=False, text=True,
            env={**os.environ, "PYTHONPATH": folder.name},
            capture_output=True,
        )
        self.assertEqual(done.returncode, 77, done.stderr)
        self.assertRegex(done.stdout, r"^skip - .* cannot be imported")


class Others(BenchTest):
    def test_pingpong(self):
        self.run_bad(
            FAILED, "bench", "pingpong", says="a GPU that runs any kernel"
        )

    @needs_json
    def test_threads(self):
        out = self.run_json(
            "bench", "threads", "--time=0", "--size=64K", "--threads=4"
        )
        self.assertEqual(
            {(row["direction"], row["threads"]) for row in out["rows"]},
            {(d, n) for d in ("write", "read") for n in (1, 2, 4)},
        )

    @needs_json
    def test_stall(self):
        out = self.run_json("bench", "stall", "--seconds=1")
        self.assertGreater(out["reads"], 0)
        self.assertGreater(out["courier_life_us"], 0)
        for call in ("synchronize", "alloc", "free"):
            for when in ("quiet_us", "busy_us"):
                self.assertGreater(out[call][when]["count"], 0)

    @needs_json
    def test_api(self):
        out = self.run_json("bench", "api", "--rounds=5", "--sessions=3")
        for call in ("pin", "map", "buf_get", "unmap", "unpin"):
            self.assertEqual(out[call]["count"], 5)
        for call in ("open", "close", "alloc"):
            self.assertEqual(out[call]["count"], 3)

    def test_text(self):
        for args in (
            ["threads", "--time=0", "--size=64K"],
            ["stall", "--seconds=1"],
            ["api", "--rounds=2", "--sessions=2"],
        ):
            self.assertIn("SIMULATED", self.run_ok("bench", *args))


class Tune(BenchTest):
    def check_plan(self, plan):
        """For each direction and kind of memory rising steps to no end."""
        ends = {}
        for step in plan:
            way = (step["direction"], step["host"])
            last = ends.get(way, 0)
            self.assertIsNotNone(last, "a step after the last")
            if step["up_to"] is not None:
                self.assertGreater(step["up_to"], last)
            self.assertGreaterEqual(step["threads"], 1)
            ends[way] = step["up_to"]
        self.assertEqual(len(ends), 4)
        self.assertEqual(set(ends.values()), {None})

    @needs_json
    def test_life(self):
        env = {"XDG_CACHE_HOME": self.folder(), "GPUMEM_THREADS": "2"}
        built_in = self.run_json("tune", "--show", env=env)
        self.assertFalse(built_in["measured"])
        self.check_plan(built_in["plan"])
        self.assertFalse(os.path.exists(built_in["file"]))

        out = self.run_json("tune", "--time=0", env=env)
        self.assertIsNone(out["stored"])
        self.check_plan(out["plan"])
        self.assertEqual(len(out["rows"]), 4 * 21)
        self.assertFalse(os.path.exists(built_in["file"]))

        out = self.run_json("tune", "--time=0", "--force", env=env)
        self.assertEqual(out["stored"], built_in["file"])
        self.assertTrue(os.path.exists(built_in["file"]))
        shown = self.run_json("tune", "--show", env=env)
        self.assertTrue(shown["measured"])
        self.assertEqual(shown["plan"], out["plan"])

        self.run_ok("tune", "--reset", env=env)
        self.assertFalse(os.path.exists(built_in["file"]))
        shown = self.run_json("tune", "--show", env=env)
        self.assertEqual(shown["plan"], built_in["plan"])

    def test_text(self):
        env = {"XDG_CACHE_HOME": self.folder(), "GPUMEM_THREADS": "1"}
        text = self.run_ok("tune", "--show", env=env)
        self.assertIn("plan, built in", text)
        self.assertIn("writes from pageable memory", text)
        text = self.run_ok("tune", "--dry-run", "--time=0", env=env)
        self.assertIn("nothing stored: --dry-run", text)
        text = self.run_ok("tune", "--time=0", env=env)
        self.assertIn("nothing stored: the GPU is simulated", text)
        self.assertEqual(os.listdir(env["XDG_CACHE_HOME"]), [])

    def test_no_folder(self):
        env = {"XDG_CACHE_HOME": "", "HOME": ""}
        self.assertIn("XDG_CACHE_HOME", self.run_ok("tune", "--show", env=env))
        self.run_bad(FAILED, "tune", "--reset", says="XDG_CACHE_HOME", env=env)


if __name__ == "__main__":
    unittest.main()
