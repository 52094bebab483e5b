#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of the command `gpumem` on the simulated GPU.

Usage: test_tool.py GPUMEM [unittest options]
"""

import json
import os
import re
import subprocess
import sys
import unittest

GPUMEM = os.path.abspath(sys.argv.pop(1))

OK, MISMATCH, USAGE, FAILED = 0, 1, 2, 3
FIRST_WORD = 0x0A000000

# What help lists.
NAMED = r"(?m)^  (?!gpumem)([a-z]+) "


def environment(**changes):
    """The environment of a run: the simulated GPU, and nothing inherited."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GPUMEM_")}
    env["GPUMEM_BACKEND"] = "sim"
    for name, value in changes.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


def gpumem(*args, env=None, **options):
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        [GPUMEM, *args],
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        **options,
    )


HAVE_JSON = gpumem("info", "--json").returncode == OK
needs_json = unittest.skipUnless(HAVE_JSON, "this build has no JSON support")


class ToolTest(unittest.TestCase):
    def run_ok(self, *args, **options):
        done = gpumem(*args, **options)
        self.assertEqual(done.returncode, OK, done.stderr)
        return done.stdout

    def run_json(self, *args, status=OK, **options):
        done = gpumem(*args, "--json", **options)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout)

    def run_bad(self, status, *args, says, **options):
        """Fails with one line that starts with the command's name."""
        done = gpumem(*args, **options)
        self.assertEqual(
            done.returncode, status, f"{done.stdout}{done.stderr}"
        )
        self.assertTrue(done.stderr.startswith("gpumem"), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(says, done.stderr)
        return done


class Main(ToolTest):
    def test_version(self):
        self.assertRegex(self.run_ok("--version"), r"^gpumem \d+\.\d+\.\d+\n$")

    def test_help(self):
        for args in (["--help"], ["-h"], ["help"]):
            text = self.run_ok(*args)
            # A screen, with the prompt below it.
            self.assertLess(len(text.splitlines()), 24)
            for line in text.splitlines():
                self.assertLessEqual(len(line), 80, line)
            self.assertEqual(
                re.findall(NAMED, text),
                ["demo", "info", "dma", "doctor", "bench", "tune"],
            )

    def test_help_of_each(self):
        commands = re.findall(NAMED, self.run_ok("help"))
        benches = re.findall(NAMED, self.run_ok("help", "bench"))
        self.assertEqual(len(benches), 7)
        for args in [[c] for c in commands] + [["bench", b] for b in benches]:
            text = self.run_ok(*args, "--help")
            self.assertEqual(self.run_ok("help", *args), text)
            self.assertTrue(text.startswith("Usage: gpumem " + " ".join(args)))
            for line in text.splitlines():
                self.assertLessEqual(len(line), 80, line)
        for word in ("help", "--help", "-h"):
            self.assertEqual(
                self.run_ok(word, "demo"), self.run_ok("demo", "--help")
            )

    def test_no_command(self):
        done = gpumem()
        self.assertEqual(done.returncode, USAGE)
        self.assertEqual(done.stdout, "")
        self.assertIn("no command", done.stderr)

    def test_unknown_command(self):
        for args in (["frobnicate"], ["help", "frobnicate"], [""]):
            self.run_bad(USAGE, *args, says="demo, info, dma")
        for args in (["--frob"], ["--device", "0", "demo"]):
            self.run_bad(USAGE, *args, says="behind its name")
        self.run_bad(USAGE, "--version", "x", says="x: not expected here")
        self.run_bad(USAGE, "", says='"": no such command')
        self.run_bad(USAGE, "bench", "frob", says="frob")
        self.assertEqual(gpumem("bench").returncode, USAGE)

    def test_full_disk(self):
        for args in (
            ["--version"],
            ["--help"],
            ["demo"],
            ["info"],
            ["bench", "pin", "--rounds", "1"],
        ):
            with open("/dev/full", "w", encoding="ascii") as full:
                self.run_bad(
                    FAILED, *args, says="writing to standard", stdout=full
                )

    def test_closed_stdout(self):
        done = subprocess.run(
            ["sh", "-c", 'exec "$0" demo >&-', GPUMEM],
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertIn("writing to standard output failed", done.stderr)

    def test_closed_stdin_and_stderr(self):
        done = subprocess.run(
            ["sh", "-c", 'exec "$0" demo <&- 2>&-', GPUMEM],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, OK)
        self.assertIn("Test successful", done.stdout)


class BadOptions(ToolTest):
    COMMANDS = (["demo"], ["info"], ["bench", "pin"])

    def test_unknown_option(self):
        for command in self.COMMANDS:
            self.run_bad(USAGE, *command, "--frob", says="--frob")
            self.run_bad(USAGE, *command, "-x", says="-x")

    def test_missing_value(self):
        for command in self.COMMANDS:
            self.run_bad(USAGE, *command, "--backend", says="missing")
            self.run_bad(USAGE, *command, "--device", says="missing")
        self.run_bad(USAGE, "demo", "--size", says="missing")

    def test_value_not_wanted(self):
        self.run_bad(USAGE, "demo", "--json=yes", says="--json=yes")

    def test_extra_word(self):
        for command in self.COMMANDS:
            self.run_bad(USAGE, *command, "extra", says="extra")

    def test_sizes(self):
        bad = (
            ["", "x", "-1", "-0", "+1", " 1", "1 ", "0x10", "1P", "1k", "1KB"]
            + ["1.5M", "K", "1MM", "18446744073709551616", "17179869184G", "16777216T"]
            + ["99999999999999999999999999", "1e6", "\N{FULLWIDTH DIGIT ONE}"]
        )
        for text in bad:
            for option in ("--size", "--offset"):
                self.run_bad(USAGE, "demo", f"{option}={text}", says=option)
            self.run_bad(
                USAGE, "bench", "pin", f"--size={text}", says="--size"
            )
        self.run_bad(USAGE, "demo", "--size=0", says='"0"')
        self.run_bad(USAGE, "bench", "pin", "--size=0K", says='"0K"')
        self.run_bad(
            USAGE, "demo", "--size=1", "--offset=18446744073709551615",
            says="2^64",
        )

    def test_too_large(self):
        for size in ("1000000G", "17179869183G", "18446744073709551615"):
            self.run_bad(FAILED, "demo", "--size", size, says="memory of")
            self.run_bad(
                FAILED, "bench", "pin", "--size", size, says="memory"
            )

    def test_devices(self):
        for command in self.COMMANDS:
            for text in ("", "x", "-1", "1.0", "99999999999"):
                self.run_bad(
                    USAGE, *command, f"--device={text}", says="--device"
                )
            self.run_bad(FAILED, *command, "--device=99", says="99")

    def test_device_ids(self):
        for command in self.COMMANDS:
            for text in ("", "x", "0", "GPU-", "3b:00", "0000:3b:00.9"):
                self.run_bad(
                    USAGE, *command, f"--device-id={text}", says="PCI address"
                )
            for text in ("ffff:3b:00.0", "GPU-" + 32 * "e"):
                self.run_bad(
                    FAILED, *command, f"--device-id={text}", says=text
                )
            self.run_bad(USAGE, *command, "--device-id", says="missing")
            for words in (("0", "3b:00.0"), ("1", "3b:00.0")):
                self.run_bad(
                    USAGE, *command, "--device", words[0], "--device-id",
                    words[1], says="one of them",
                )
                self.run_bad(
                    USAGE, *command, "--device-id", words[1], "--device",
                    words[0], says="one of them",
                )

    def test_backends(self):
        for command in self.COMMANDS:
            for text in ("", "frob", "SIM", "sim "):
                done = gpumem(*command, "--backend", text)
                self.assertEqual(done.returncode, USAGE, text)
            env = environment(GPUMEM_BACKEND="frob")
            self.run_bad(USAGE, *command, says="frob", env=env)

    def test_rounds(self):
        for text in ("0", "-1", "x", "1001", ""):
            self.run_bad(
                USAGE, "bench", "pin", f"--rounds={text}", says="--rounds"
            )

    def test_too_many_sizes(self):
        self.run_bad(
            USAGE, "bench", "pin", *["--size=1"] * 33, says="32 times"
        )

    def test_first_error_counts(self):
        """--help after a bad option does not hide it."""
        self.assertEqual(gpumem("demo", "--frob", "--help").returncode, USAGE)
        self.assertEqual(gpumem("demo", "--help", "--frob").returncode, OK)


class Demo(ToolTest):
    def test_text(self):
        text = self.run_ok("demo")
        self.assertTrue(text.endswith("Test successful\n"), text)
        self.assertIn("SIMULATED", text)
        self.assertIn("backend  sim", text)
        self.assertIn("simulated physical", text)
        self.assertIn("0a000000 0a000001 0a000002", text)
        self.assertIn("0a00000e 0a00000f\n", text)

    def test_pages_shown(self):
        """The first 8 and the last of 17 pages, with both addresses."""
        text = self.run_ok("demo", "--size=1M", "--offset=1")
        rows = [
            line.split()
            for line in text.splitlines()
            if "0x" in line and line[:10].strip().isdigit()
        ]
        self.assertEqual(
            [int(row[0]) for row in rows], [0, 1, 2, 3, 4, 5, 6, 7, 16]
        )
        cpu = [int(row[-1], 16) for row in rows]
        self.assertEqual(
            [addr - cpu[0] for addr in cpu],
            [65536 * int(row[0]) for row in rows],
        )

    @needs_json
    def test_sizes_and_offsets(self):
        sizes = [1, 2, 3, 4, 5, 7, 63, 4095, 4096, 4097, 65535, 65536, 65537]
        sizes += [1 << 20, (1 << 20) + 1, (64 << 20) - 3]
        for size in sizes:
            for offset in (0, 1, 3, 4097, 65535, (2 << 20) + 5):
                with self.subTest(size=size, offset=offset):
                    self.check_demo(size, offset)

    def check_demo(self, size, offset):
        out = self.run_json("demo", f"--size={size}", f"--offset={offset}")
        self.assertIs(out["success"], True)
        self.assertEqual(out["wrong_words"], 0)
        self.assertEqual(out["wrong"], [])
        self.assertEqual((out["size"], out["offset"]), (size, offset))
        words = -(-size // 4)
        self.assertEqual(out["words"], words)
        shown = [int(word, 16) for word in out["first_words"]]
        want = [FIRST_WORD + i for i in range(min(words, 16))]
        if words <= 16 and size % 4:
            want[-1] &= (1 << 8 * (size % 4)) - 1
        self.assertEqual(shown, want)
        first = int(out["gpu_address"], 16)
        page = out["page_size"]
        count = (first + size - 1) // page - first // page + 1
        self.assertEqual(out["page_count"], count)
        self.assertEqual(len(out["pages"]), min(count, 9))
        cpu = int(out["cpu_address"], 16)
        self.assertEqual(cpu % 4096, first % 4096)

    @needs_json
    def test_json(self):
        out = self.run_json("demo", "--size", "64K")
        self.assertEqual(out["backend"], "sim")
        self.assertIs(out["simulated"], True)
        self.assertEqual(out["device"], 0)
        times = out["times_us"]
        self.assertEqual(
            sorted(times),
            sorted(
                "open alloc pin map write verify unmap unpin free".split()
            ),
        )
        for value in times.values():
            self.assertGreater(value, 0)
        later = out["pin_map_us"]["later"]
        self.assertGreater(later["count"], 0)
        order = [later[k] for k in ("min", "p10", "median", "p90", "max")]
        self.assertEqual(order, sorted(order))
        self.assertAlmostEqual(
            out["pin_map_us"]["first"], times["pin"] + times["map"], 2
        )

    def test_units(self):
        for text, shown in (
            ("1", "1 byte "),
            ("5", "5 bytes"),
            ("4K", "4 KiB"),
            ("3M", "3 MiB"),
            ("1025", "1025 bytes"),
        ):
            out = self.run_ok("demo", "--size", text)
            self.assertIn("buffer   " + shown, out)

    def test_options_win_over_environment(self):
        env = environment(GPUMEM_BACKEND="frob")
        self.run_ok("demo", "--backend=sim", env=env)


class Mismatch(ToolTest):
    """GPUMEM_DEMO_CORRUPT: the demo must see a wrong word."""

    def corrupt(self, text, *args):
        return gpumem("demo", *args, env=environment(GPUMEM_DEMO_CORRUPT=text))

    def test_one_word(self):
        for index in (0, 1, 15, 16, 1000, (1 << 18) - 1):
            done = self.corrupt(str(index))
            self.assertEqual(done.returncode, MISMATCH, done.stderr)
            self.assertNotIn("Test successful", done.stdout)
            expected = FIRST_WORD + index
            row = f"{index}  {expected:08x}  {expected ^ 0xFFFFFFFF:08x}\n"
            self.assertIn(row, done.stdout)
            self.assertTrue(
                done.stdout.endswith("1 of 262144 words are wrong\n")
            )

    def test_last_bytes(self):
        """A word cut off by the buffer's end counts too."""
        done = self.corrupt("1", "--size=5")
        self.assertEqual(done.returncode, MISMATCH)
        self.assertIn("1  00000001  000000fe\n", done.stdout)

    def test_first_32_are_shown(self):
        done = self.corrupt("100-199")
        self.assertEqual(done.returncode, MISMATCH)
        rows = done.stdout.split("found\n")[1].splitlines()[:-1]
        self.assertEqual(
            [int(row.split()[0]) for row in rows], list(range(100, 132))
        )
        self.assertIn("100 of 262144 words", done.stdout)

    @needs_json
    def test_json(self):
        out = self.run_json(
            "demo",
            status=MISMATCH,
            env=environment(GPUMEM_DEMO_CORRUPT="7"),
        )
        self.assertIs(out["success"], False)
        self.assertEqual(out["wrong_words"], 1)
        self.assertEqual(
            out["wrong"],
            [{"index": 7, "expected": "0x0a000007", "found": "0xf5fffff8"}],
        )
        self.assertEqual(out["first_words"][7], "0xf5fffff8")

    def test_bad_values(self):
        for text in ("", "x", "-1", "262144", "5-4", "1-", "0-", "0-262144", "1,2"):
            done = self.corrupt(text)
            self.assertEqual(done.returncode, USAGE, text)
            self.assertIn("GPUMEM_DEMO_CORRUPT", done.stderr)


class Info(ToolTest):
    def test_text(self):
        text = self.run_ok("info")
        for word in ("gpumem", "kernel module", "kmod", "rm", "sim"):
            self.assertIn(word, text)
        self.assertIn("SIMULATED", text)
        self.assertIn("BAR1 free", text)

    @needs_json
    def test_device_id(self):
        env = environment(GPUMEM_SIM_GPUS="2")
        second = self.run_json("info", env=env)["devices"][1]
        uuid = "GPU-" + (b"gpumem simulate" + b"\1").hex()
        for text in (second["pci"], second["pci"].upper(), uuid):
            out = self.run_json(
                "demo", "--size=64K", "--device-id", text, env=env
            )
            self.assertEqual(out["device"], 1)
            self.assertEqual(out["pci"], second["pci"])
        out = self.run_json(
            "bench", "pin", "--size=4K", "--rounds=1",
            "--device-id", second["pci"], env=env,
        )
        self.assertEqual(out["device"], 1)

    @needs_json
    def test_json(self):
        out = self.run_json("info")
        names = [backend["name"] for backend in out["backends"]]
        self.assertEqual(names, ["kmod", "rm", "dmabuf", "sim"])
        for backend in out["backends"]:
            self.assertTrue(backend["reason"])
        self.assertEqual(out["backend"], "sim")
        self.assertIsNone(out["error"])
        self.assertTrue(out["devices"])
        for device in out["devices"]:
            self.assertIs(device["simulated"], True)
            self.assertLessEqual(device["bar1_free"], device["bar1_size"])
            self.assertGreater(device["memory"], 0)

    def nothing(self):
        """No simulated GPU either."""
        return environment(
            GPUMEM_SIM_LIBCUDA="/nonexistent/libcuda.so.1",
            GPUMEM_LIBCUDA="/nonexistent/libcuda.so.1",
        )

    def test_nothing_usable(self):
        text = self.run_ok("info", env=self.nothing())
        self.assertIn("none can be used", text)
        self.assertIn("kmod", text)

    @needs_json
    def test_nothing_usable_json(self):
        out = self.run_json("info", env=self.nothing())
        self.assertIsNone(out["backend"])
        self.assertTrue(out["error"])
        self.assertEqual(out["devices"], [])

    def test_demo_without_libcuda(self):
        self.run_bad(FAILED, "demo", says="libcuda", env=self.nothing())

    @unittest.skipIf(
        os.path.exists("/dev/nvidiactl"), "this machine has a GPU"
    )
    def test_rm_without_driver(self):
        self.run_bad(FAILED, "demo", "--backend=rm", says="rm")

    @unittest.skipIf(os.path.exists("/dev/gpumem"), "the module is loaded")
    def test_kmod_without_module(self):
        self.run_bad(FAILED, "demo", "--backend=kmod", says="gpumem")


class Dma(ToolTest):
    """Without the kernel module: what is refused, and why."""

    def test_simulated(self):
        self.run_bad(
            FAILED, "dma", "--peer", "0000:3b:00.0", says="backend sim cannot"
        )
        self.run_bad(FAILED, "dma", "--peer", "3b:00.0", says="only backend kmod")

    def test_usage(self):
        self.run_bad(USAGE, "dma", says="--peer: missing")
        self.run_bad(USAGE, "dma", "--peer", says="a value is missing")
        for peer in ("", "nowhere", "3b:00", "0000:3b:00.0.0"):
            self.run_bad(
                USAGE, "dma", "--peer", peer, says="is no PCI address"
            )
        for hold in ("-1", "x", "1.5", "2147484"):
            self.run_bad(
                USAGE, "dma", "--peer", "3b:00.0", "--hold", hold, says="--hold"
            )
        self.run_bad(
            USAGE,
            "dma",
            "--peer",
            "3b:00.0",
            "--offset",
            "18446744073709551615",
            says="their sum passes",
        )

    def test_too_large(self):
        self.run_bad(
            FAILED,
            "dma",
            "--peer",
            "3b:00.0",
            "--size",
            "1024G",
            says="--size: 1 TiB is more than the GPU's memory of",
        )


class Bench(ToolTest):
    def test_text(self):
        text = self.run_ok(
            "bench", "pin", "--rounds=3", "--size=4K", "--size=100001"
        )
        self.assertIn("SIMULATED", text)
        self.assertIn("4 KiB: ", text)
        self.assertIn("100001 bytes: ", text)
        for call in ("pin", "map", "pin+map", "unmap", "unpin"):
            self.assertRegex(text, rf"(?m)^{call.replace('+', '.')} ")
        self.assertIn("cuMemcpyHtoD", text)
        self.assertIn("cuMemcpyDtoH", text)
        self.assertRegex(text, r"(?m)^all four +- +- +[0-9.]+ ")
        # Only the rm backend has steps to tell.
        self.assertNotIn("steps", text)

    @needs_json
    def test_json(self):
        out = self.run_json("bench", "pin", "--rounds=7", "--size=64K")
        self.assertIs(out["simulated"], True)
        self.assertEqual([s["size"] for s in out["sizes"]], [65536])
        row = out["sizes"][0]
        for call in ("pin", "map", "pin_map", "unmap", "unpin"):
            self.assertEqual(row[call]["later_us"]["count"], 7)
            self.assertEqual(row[call]["new_buffer_us"]["count"], 10)
            self.assertGreater(row[call]["of_memcpy_htod"], 0)
        for call in ("cycle", "cycle_after_copies"):
            self.assertEqual(row[call]["later_us"]["count"], 7)
            self.assertNotIn("new_buffer_us", row[call])
        for step in row["new_buffer_steps_us"].values():
            self.assertEqual(step["count"], 10)
        self.assertEqual(row["memcpy_htod"]["of_memcpy_htod"], 1)


class WithoutJson(ToolTest):
    @unittest.skipIf(HAVE_JSON, "this build has JSON support")
    def test_json_is_refused(self):
        for command in (["demo"], ["info"], ["bench", "pin"]):
            self.run_bad(USAGE, *command, "--json", says="without JSON")


if __name__ == "__main__":
    unittest.main()
