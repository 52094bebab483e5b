#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`gpumem doctor` as a command, and with the simulated GPU.

Usage: test_doctor_command.py GPUMEM FAKE_NVML FAKE_GDRAPI [unittest options]
"""

import os
import subprocess
import unittest

from doctor_machine import (
    Doctor,
    FAILED,
    GPU,
    GPUMEM,
    HAVE_JSON,
    OK,
    SIM_GPU,
    USAGE,
    WARNED,
)


class Simulated(Doctor):
    def test_says_so(self):
        found = self.look("--backend", "sim")
        for name in ("gpu", "cuda", "write-combining"):
            self.assertIn("SIMULATED", found[name]["found"])
        self.expect(found["backend"], "ok", found="simulated")
        self.assertEqual(found["write-combining"]["level"], "note")
        if HAVE_JSON:
            self.assertIs(self.out["simulated"], True)
            values = found["write-combining"]["values"]
            for key in ("stream", "plain", "single"):
                self.assertGreater(values[key + "_gb_per_s"], 0)
            self.assertEqual(values["least_gain"], 2.4)

    def test_real_gpu_does_not_matter(self):
        """What a real GPU would need is no failure then."""
        self.machine.no_driver()
        found = self.look("--backend=sim")
        self.only(found)
        self.expect(found["driver"], "note", found="not loaded")

    def test_environment(self):
        found = self.look(env={"GPUMEM_BACKEND": "sim"})
        self.expect(found["backend"], "ok", found="sim")

    def test_device(self):
        """Only the GPU that is asked for."""
        found = self.look("--backend=sim", "--device=0")
        self.assertNotIn("pci-link", found)
        self.assertNotIsInstance(found["bar1"], list)

    def test_session_finds_its_gpu(self):
        self.machine.gpu(SIM_GPU, minor=1)
        self.machine.write(self.machine.sysfs(SIM_GPU) + "vendor", "0x1af4")
        at = self.machine.sysfs(SIM_GPU)
        self.machine.write(at + "current_link_speed", "16.0 GT/s PCIe")
        found = self.look("--backend=sim", "--device=0")
        self.only(found, "pci-link")
        self.assertIn("(SIMULATED)", found["bar1"]["found"])
        # The GPU is in use: an idle link is no excuse.
        self.expect(found["pci-link"], "warn", impact="50%")

    def test_unusable(self):
        env = {"GPUMEM_SIM_LIBCUDA": "/nonexistent/libcuda.so.1"}
        found = self.look("--backend=sim", env=env)
        self.only(found, "backend")
        self.expect(found["backend"], "fail", found="libcuda")

    def test_real_machine(self):
        """Without the variable it looks at this one; it must not fail."""
        env = self.environment({})
        del env["GPUMEM_DOCTOR_ROOT"]
        done = subprocess.run(
            [GPUMEM, "doctor"], env=env, capture_output=True, text=True,
            check=False,
        )
        self.assertIn(done.returncode, (OK, WARNED, FAILED), done.stderr)
        self.assertEqual(done.stderr, "")
        self.assertIn("backend", done.stdout)
        if not os.path.exists("/dev/nvidiactl"):
            self.assertEqual(done.returncode, FAILED)
            self.assertNotIn("SIMULATED", done.stdout)


class CommandLine(Doctor):
    def test_help(self):
        text = self.run_doctor("--help").stdout
        self.assertTrue(text.startswith("Usage: gpumem doctor"))
        for line in text.splitlines():
            self.assertLessEqual(len(line), 80, line)

    def test_usage(self):
        for args, says in (
            (["--frob"], "--frob"),
            (["extra"], "extra"),
            (["--device=x"], "--device"),
            (["--backend"], "missing"),
            (["--backend=frob"], "frob"),
        ):
            done = self.run_doctor(*args)
            self.assertEqual(done.returncode, USAGE, args)
            self.assertIn(says, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_no_such_gpu(self):
        done = self.run_doctor("--backend=sim", "--device=99")
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("99", done.stderr)

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run(
                [GPUMEM, "doctor"], env=self.environment({}), stdout=full,
                stderr=subprocess.PIPE, text=True, check=False,
            )
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("writing to standard output", done.stderr)


if __name__ == "__main__":
    unittest.main()
