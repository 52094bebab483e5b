#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `gpumem` says when it is used wrongly, of every command.

Usage: test_errors.py GPUMEM [unittest options]
"""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import unittest

GPUMEM = os.path.abspath(sys.argv.pop(1))

OK, USAGE, FAILED = 0, 2, 3
BENCHES = ("copy", "pingpong", "threads", "stall", "api", "pin", "loops")
COMMANDS = [["demo"], ["info"], ["dma"], ["doctor"], ["tune"]] + [
    ["bench", bench] for bench in BENCHES
]


def environment(**changes):
    env = {k: v for k, v in os.environ.items() if not k.startswith("GPUMEM_")}
    env.pop("COLUMNS", None)
    env["GPUMEM_BACKEND"] = "sim"
    env.update(changes)
    return {k: v for k, v in env.items() if v is not None}


def gpumem(*args, **changes):
    return subprocess.run(
        [GPUMEM, *args],
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


class Errors(unittest.TestCase):
    def refused(self, *args, status=USAGE, **changes):
        """One line, of the command itself; gives it without its beginning."""
        done = gpumem(*args, **changes)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        words = []
        for word in args:
            if word.startswith("-") or [*words, word] not in (
                ["bench"], *COMMANDS
            ):
                break
            words.append(word)
        begin = " ".join(["gpumem", *words]) + ": "
        self.assertTrue(done.stderr.startswith(begin), done.stderr)
        return done.stderr[len(begin):-1]


class Options(Errors):
    def test_hint(self):
        """The help that an error points to is there."""
        for command in COMMANDS:
            for words in (["--frob"], ["-x"], ["extra"], ["--backend"]):
                text = self.refused(*command, *words)
                hint = re.search(r"; see (gpumem [a-z ]+ --help)$", text)
                self.assertTrue(hint, text)
                self.assertEqual(
                    hint.group(1), " ".join(["gpumem", *command, "--help"])
                )
            done = gpumem(*command, "--help")
            self.assertEqual(done.returncode, OK)
            self.assertEqual(
                gpumem("help", *command).stdout, done.stdout
            )

    def test_unknown(self):
        for command in COMMANDS:
            self.assertRegex(
                self.refused(*command, "--frobnicate=7"),
                r"^--frobnicate=7: no such option; see ",
            )

    def test_nearly(self):
        for words, name in (
            (["demo", "--sizes=4"], "size"),
            (["demo", "--szie", "4"], "size"),
            (["demo", "-size", "4"], "size"),
            (["info", "--jsno"], "json"),
            (["bench", "copy", "--methods", "cpu"], "method"),
            (["tune", "--dryrun"], "dry-run"),
            (["dma", "--per", "x"], None),
        ):
            text = self.refused(*words)
            if name:
                self.assertIn(f"(did you mean --{name}?)", text)
        for word, name in (("dmo", "demo"), ("docter", "doctor"), ("ben", "bench")):
            self.assertIn(f"(did you mean {name}?)", self.refused(word))
        self.assertIn(
            "(did you mean pingpong?)", self.refused("bench", "ping")
        )
        for word in ("x", "frobnicate", ""):
            self.assertNotIn("did you mean", self.refused(word))

    def test_ambiguous(self):
        text = self.refused("bench", "copy", "--d=1")
        self.assertIn(
            "--d=1: ambiguous: it may be --device, --device-id, --direction",
            text,
        )
        self.assertIn("ambiguous", self.refused("demo", "--dev", "0"))

    def test_missing_value(self):
        for command in COMMANDS:
            for option in ("--device", "--device-id", "--backend", "--bac"):
                self.assertTrue(
                    self.refused(*command, option).startswith(
                        f"{option}: a value is missing; see"
                    )
                )

    def test_unexpected_value(self):
        for command in COMMANDS:
            self.assertTrue(
                self.refused(*command, "--json=yes").startswith(
                    "--json=yes: --json takes no value; see"
                )
            )
        self.assertIn("--show takes no", self.refused("tune", "--show=1"))

    def test_words(self):
        for args in (["help", "demo", "x"], ["help", "bench", "copy", "x"]):
            self.assertIn("x: not expected here", self.refused(*args))
        self.refused("help", "frob")
        done = gpumem("help", "bench", "frob")
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("see gpumem bench --help", done.stderr)


class Values(Errors):
    def test_sizes(self):
        for text in ("1.5M", "x", "", " 1", "+1", "0x10", "1k", "1KB", "1TT"):
            self.assertIn(
                f'--size: "{text}" is no number of bytes; give digits',
                self.refused("demo", f"--size={text}"),
            )
        for text in ("0", "0T", "-1", "-4K", "16777216T", "9" * 30):
            self.assertIn(
                f'--size: "{text}" is out of range; it takes from 1 to',
                self.refused("demo", f"--size={text}"),
            )

    def test_largest(self):
        """What is more than there is: refused by name, with what there is."""
        for command in (
            ["demo"], ["dma", "--peer", "3b:00.0"], ["bench", "copy"],
            ["bench", "threads"], ["bench", "api"], ["bench", "pin"],
        ):
            for size, shown in (("1T", "1 TiB"), ("2048G", "2 TiB")):
                text = self.refused(
                    *command, "--size", size, status=FAILED,
                    GPUMEM_SIM_MEMORY_MB="64",
                )
                self.assertEqual(
                    text,
                    f"--size: {shown} is more than the GPU's memory of "
                    "64 MiB; give less",
                )
        self.assertIn(
            "--max: ",
            self.refused("bench", "copy", "--max=1T", status=FAILED),
        )
        self.assertIn(
            "--size and --offset: 1025 GiB is",
            self.refused(
                "demo", "--size=1G", "--offset=1T", status=FAILED
            ),
        )

    def test_host_memory(self):
        """More than the host has is not begun: the system would end it."""
        for command in (["demo"], ["bench", "pin"], ["bench", "copy"]):
            text = self.refused(
                *command, "--size=512G", status=FAILED,
                GPUMEM_SIM_MEMORY_MB=str(1 << 20),
            )
            self.assertRegex(
                text,
                r"^--size: 512 GiB takes \d+ MiB of host memory, and \d+ MiB "
                "are available; give less$",
            )

    def test_numbers(self):
        for args, text in (
            (["demo"], "--device"),
            (["bench", "pin"], "--rounds"),
            (["bench", "stall"], "--seconds"),
            (["bench", "copy"], "--time"),
        ):
            for value in ("", "x", "1.0", " 1", "1 ", "+1", "0x1", "1K"):
                self.assertIn(
                    f'{text}: "{value}" is no whole number; it takes one from',
                    self.refused(*args, f"{text}={value}"),
                )
            for value in ("-1", "-0", "99999999999", "9" * 30):
                self.assertIn(
                    f'{text}: "{value}" is out of range; it takes a number',
                    self.refused(*args, f"{text}={value}"),
                )

    def test_control_characters(self):
        text = self.refused("demo", "--size=1\n\x1b[31m")
        self.assertIn(r'"1\x0a\x1b[31m"', text)


class Prefixes(Errors):
    """What the library says is not told twice."""

    def test_open(self):
        for command in COMMANDS:
            more = ["--peer", "3b:00.0"] if command == ["dma"] else []
            self.assertTrue(
                self.refused(
                    *command, *more, "--device=7", status=FAILED
                ).startswith("there is no GPU 7: ")
            )
            self.assertTrue(
                self.refused(*command, *more, "--backend=frob").startswith(
                    'there is no backend "frob"'
                )
            )
            self.assertTrue(
                self.refused(*command, *more, "--device-id=x").startswith(
                    'device_id "x" is neither'
                )
            )

    def test_steps(self):
        self.assertTrue(
            self.refused(
                "dma", "--peer", "3b:00.0", status=FAILED
            ).startswith("mapping the buffer for a device: backend sim")
        )

    def test_no_memory(self):
        self.assertTrue(
            self.refused(
                "bench", "api", "--size=2M", "--rounds=1", status=FAILED,
                GPUMEM_SIM_MEMORY_MB="2",
            ).startswith("cuMemAlloc: ")
        )
        done = gpumem("tune", "--time=0", GPUMEM_SIM_MEMORY_MB="2")
        self.assertEqual(done.returncode, FAILED)
        self.assertRegex(
            done.stderr, r"bytes of GPU memory: CUDA error 2, [^:]*$"
        )

    def test_nothing_usable(self):
        nothing = {
            "GPUMEM_BACKEND": None,
            "GPUMEM_LIBCUDA": "/nonexistent/libcuda.so.1",
            "GPUMEM_SIM_LIBCUDA": "/nonexistent/libcuda.so.1",
        }
        if os.path.exists("/dev/nvidiactl"):
            self.skipTest("this machine has a GPU")
        text = self.refused("demo", status=FAILED, **nothing)
        self.assertTrue(text.startswith("no backend works here: "), text)
        self.assertNotIn("open:", text)


class Environment(Errors):
    BAD = {
        "GPUMEM_THREADS": ("0", "65", "x", "4 "),
        "GPUMEM_CPU": ("abacus",),
        "GPUMEM_LOG": ("1", "info"),
        "GPUMEM_COURIER": ("yes", "2"),
        "GPUMEM_COPY_ENGINE": ("no", "2"),
        "GPUMEM_RM_CACHE": ("1G", "-1"),
        "GPUMEM_QUIET": ("yes",),
        "GPUMEM_SIM_GPUS": ("0", "9"),
        "GPUMEM_SIM_MEMORY_MB": ("1", "x"),
        "GPUMEM_SIM_DEVICE": ("disk",),
    }

    def test_bad_values(self):
        for name, values in self.BAD.items():
            for value in values:
                self.assertRegex(
                    self.refused("demo", **{name: value}),
                    rf'^{name} in the environment is "{value}": it takes .*; '
                    "correct it, or unset it$",
                )

    def test_every_command(self):
        for command in COMMANDS:
            more = ["--peer", "3b:00.0"] if command == ["dma"] else []
            self.assertIn(
                'GPUMEM_THREADS in the environment is "x"',
                self.refused(*command, *more, GPUMEM_THREADS="x"),
            )
            self.assertIn(
                'backend "frob"',
                self.refused(*command, *more, GPUMEM_BACKEND="frob"),
            )
        # Also where no backend is named and none works.
        for command in ("doctor", "info"):
            self.refused(command, GPUMEM_THREADS="x", GPUMEM_BACKEND=None)

    def test_empty_counts_as_none(self):
        for name in (*self.BAD, "GPUMEM_BACKEND"):
            self.assertEqual(
                gpumem("info", **{name: ""}).returncode, OK, name
            )

    def test_commands_that_open_nothing(self):
        for args in (["--version"], ["--help"], ["demo", "--help"]):
            done = gpumem(*args, GPUMEM_THREADS="x")
            self.assertEqual(done.returncode, OK)

    def test_files(self):
        self.assertIn(
            "invalid ELF header; name the one that comes with gpumem in "
            "GPUMEM_SIM_LIBCUDA",
            self.refused(
                "demo", status=FAILED, GPUMEM_SIM_LIBCUDA="/etc/passwd"
            ),
        )
        self.assertIn(
            'GPUMEM_DOCTOR_ROOT is "/nonexistent": No such file',
            self.refused("doctor", GPUMEM_DOCTOR_ROOT="/nonexistent"),
        )

    def test_demo_corrupt(self):
        self.assertIn(
            'GPUMEM_DEMO_CORRUPT is "x": it takes INDEX or FIRST-LAST',
            self.refused("demo", GPUMEM_DEMO_CORRUPT="x"),
        )


@unittest.skipIf(
    any(map(os.path.exists, ("/dev/nvidiactl", "/dev/gpumem"))),
    "this machine has a GPU",
)
class Advice(Errors):
    """No advice that cannot work here, where there is no GPU."""

    def test_no_gpu(self):
        for backend in ("kmod", "rm", "dmabuf"):
            text = self.refused("demo", "--backend", backend, status=FAILED)
            self.assertNotIn("modprobe", text)
            self.assertIn("; there is no NVIDIA GPU ", text)
        for args in (["info"], ["doctor"], ["doctor", "--backend=sim"]):
            done = gpumem(*args, GPUMEM_BACKEND=None)
            self.assertNotIn("modprobe", done.stdout)
        self.assertNotIn(
            "modprobe",
            self.refused("dma", "--peer", "3b:00.0", status=FAILED),
        )


class Terminal(unittest.TestCase):
    """Wrapped on a terminal; elsewhere whole lines, but for doctor's."""

    def on_terminal(self, columns, *args, **changes):
        ours, theirs = os.openpty()
        fcntl.ioctl(
            theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0)
        )
        child = subprocess.Popen(
            [GPUMEM, *args],
            env=environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        text = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:
                break
            if not more:
                break
            text += more
        os.close(ours)
        child.wait()
        return text.decode().replace("\r\n", "\n")

    def check(self, args, columns, width, **changes):
        done = gpumem(*args, **changes)
        plain = done.stdout + done.stderr
        text = self.on_terminal(columns, *args, **changes)
        self.assertGreater(max(map(len, plain.splitlines())), width)
        for line in text.splitlines():
            if " " in line.strip():
                self.assertLessEqual(len(line), width, line)
        return plain, text

    def test_errors(self):
        args = ("demo", "--size=1k")
        for columns in (40, 60, 132):
            plain, text = self.check(args, columns, columns)
            self.assertEqual(text.split(), plain.split())
            self.assertTrue(
                all(line[:2] == "  " for line in text.splitlines()[1:])
            )
        _, text = self.check(args, 0, 80)
        self.assertGreater(len(text.splitlines()[0]), 70)
        self.check(args, 0, 50, COLUMNS="50")

    def test_info_and_doctor(self):
        self.check(("info",), 60, 60)
        plain, text = self.check(("doctor", "--backend=sim"), 60, 60)
        # Without what is measured.
        plain, text = (re.sub(r"[0-9.]+", "0", t) for t in (plain, text))
        self.assertEqual(text.split(), plain.split())
        wide = self.on_terminal(200, "doctor", "--backend=sim")
        self.assertGreater(max(map(len, wide.splitlines())), 80)
        self.assertEqual(
            len(re.findall(r"(?m)^(ok|note|warn|fail) ", plain)),
            len(re.findall(r"(?m)^(ok|note|warn|fail) ", text)),
        )

    def test_nothing_else_changes(self):
        """JSON and what fits are the same on a terminal."""
        for args in (("--help",), ("demo", "--frob")):
            done = gpumem(*args)
            self.assertEqual(
                self.on_terminal(132, *args), done.stdout + done.stderr
            )


if __name__ == "__main__":
    unittest.main()
