#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bytes from outside that are no text: of files, paths, the environment and the
command line. Lines for people show them as \\xNN, --json is valid all the same.

Usage: test_text.py GPUMEM FAKE_NVML FAKE_GDRAPI [unittest options]
"""

import json
import os
import re
import subprocess
import tempfile
import unittest

from doctor_machine import (
    Doctor, FAILED, GPUMEM, HAVE_JSON, OK, USAGE, unwrapped,
)

# Of each: clears a screen; the same in one character; no UTF-8; a surrogate; a
# number that is too large; one byte too few.
BAD = (
    (b"\x1b[2J", r"\x1b[2J"),
    (b"\xc2\x9b2J", r"\xc2\x9b2J"),
    (b"\xff", r"\xff"),
    (b"\xed\xa0\x80", r"\xed\xa0\x80"),
    (b"\xf4\x90\x80\x80", r"\xf4\x90\x80\x80"),
    (b"\xe2\x82", r"\xe2\x82"),
)
# And what is text.
GOOD = "é€😀".encode()


def shown(good=GOOD):
    return "|".join(text for _, text in BAD) + "|" + good.decode()


BYTES = b"|".join(raw for raw, _ in BAD) + b"|" + GOOD


def strict(text):
    """JSON as RFC 8259 has it: UTF-8, no NaN, no control characters."""

    def refuse(word):
        raise ValueError(word)

    return json.loads(
        text.decode("utf-8", "strict"), strict=True, parse_constant=refuse
    )


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)


class Text(Doctor):
    def run_bytes(self, *args, env=None):
        env = {os.fsencode(k): os.fsencode(v) for k, v in (env or {}).items()}
        return subprocess.run(
            [os.fsencode(GPUMEM), *map(os.fsencode, args)],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )

    def plain(self, out):
        """Lines that no terminal obeys."""
        text = out.decode("utf-8", "strict")
        self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        return text

    def look_at(self, *args, env, status, where):
        """The text must show the bytes, and so must the JSON."""
        done = self.run_bytes(*args, env=env)
        self.assertIn(done.returncode, status, done.stderr)
        self.assertIn(where, unwrapped(self.plain(done.stdout)))
        self.plain(done.stderr)
        if not HAVE_JSON:
            return
        done = self.run_bytes(*args, "--json", env=env)
        self.assertIn(done.returncode, status, done.stderr)
        found = [text for text in strings(strict(done.stdout)) if "|" in text]
        # JSON has its own form of an ASCII control character.
        want = where.replace(r"\x1b", "\x1b")
        self.assertTrue(any(want in text for text in found), found)
        for text in found:
            self.assertNotRegex(text, "[\x7f-\x9f\ud800-\udfff]")


class Files(Text):
    def write_bytes(self, name, raw):
        self.machine.write(name, "")
        with open(self.machine.path(name), "wb") as file:
            file.write(raw)

    def doctor(self, where, **env):
        self.look_at(
            "doctor", env=self.environment(env), status=range(4), where=where
        )

    def test_driver_settings(self):
        self.write_bytes(
            "/proc/driver/nvidia/params", b"RegistryDwords: " + BYTES + b"\n"
        )
        self.doctor("RegistryDwords is " + shown())

    def test_module_version(self):
        self.write_bytes("/sys/module/gpumem/version", BYTES + b"\n")
        self.doctor(f"gpumem.ko {shown()} is loaded")

    def test_command_line_of_the_kernel(self):
        # Cut off in the middle of a character.
        self.write_bytes("/proc/cmdline", b"iommu=" + b"a|" * 14 + GOOD)
        self.doctor("iommu=" + "a|" * 14 + r"é\xe2")

    def test_iommu(self):
        self.machine.iommu("DMA")
        self.write_bytes("/sys/kernel/iommu_groups/12/type", b"|\xff\xc2\x9b")
        self.doctor(r"translates (|\xff\xc2\x9b)")

    def test_environment(self):
        self.write_bytes("/.dockerenv", b"")
        self.doctor(
            f'NVIDIA_VISIBLE_DEVICES is "{shown()}"',
            NVIDIA_VISIBLE_DEVICES=os.fsdecode(BYTES),
        )


class Paths(Text):
    def sim(self, **more):
        env = {k: v for k, v in os.environ.items() if k[:7] != "GPUMEM_"}
        if "GPUMEM_SIM_LIBCUDA" in os.environ:
            env["GPUMEM_SIM_LIBCUDA"] = os.environ["GPUMEM_SIM_LIBCUDA"]
        return dict(env, GPUMEM_BACKEND="sim", **more)

    def test_tune(self):
        with tempfile.TemporaryDirectory(prefix="gpumem-text-") as folder:
            cache = os.path.join(os.fsencode(folder), BYTES)
            self.look_at(
                "tune", "--show",
                env=self.sim(XDG_CACHE_HOME=os.fsdecode(cache)),
                status=[OK], where=shown() + "/gpumem/",
            )

    def test_no_folder(self):
        done = self.run_bytes(
            "tune", "--force",
            env=self.sim(XDG_CACHE_HOME=os.fsdecode(b"/proc/self/" + BYTES)),
        )
        self.assertEqual(done.returncode, FAILED)
        self.assertIn(shown(), self.plain(done.stderr))

    def test_library(self):
        done = self.run_bytes(
            "demo",
            env=dict(self.sim(), GPUMEM_SIM_LIBCUDA=os.fsdecode(BYTES)),
        )
        self.assertEqual(done.returncode, FAILED)
        self.plain(done.stderr)

    def test_arguments(self):
        for args in (
            [b"--size=" + BYTES], [b"--backend=" + BYTES],
            [b"--device-id=" + BYTES], [b"--" + BYTES], [BYTES],
        ):
            done = self.run_bytes(b"demo", *args, env=self.sim())
            self.assertIn(done.returncode, (USAGE, FAILED), done.stderr)
            # Some are cut off.
            self.assertRegex(
                self.plain(done.stderr), re.escape(shown()[:20])
            )
        done = self.run_bytes(BYTES, env=self.sim())
        self.assertEqual(done.returncode, USAGE)
        self.assertIn(shown(), self.plain(done.stderr))


if __name__ == "__main__":
    unittest.main()
