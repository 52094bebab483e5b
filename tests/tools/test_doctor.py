#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of `gpumem doctor` on made-up machines.

Each machine is a folder with the files of /proc, /sys and /dev that the command
looks at; GPUMEM_DOCTOR_ROOT names it. No GPU is opened, but the simulated one
where a test asks for it.

Usage: test_doctor.py GPUMEM FAKE_NVML FAKE_GDRAPI [unittest options]
"""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

GPUMEM, NVML, GDRAPI = (os.path.abspath(sys.argv.pop(1)) for _ in range(3))

OK, WARNED, USAGE, FAILED = 0, 1, 2, 3
LEVELS = ("ok", "note", "warn", "fail")
STATUS = {"ok": OK, "note": OK, "warn": WARNED, "fail": FAILED}
GPU = "0000:3b:00.0"
MIB = 1 << 20
NOBODY = 65534

OPEN_DRIVER = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04"
    "  Release Build  (builder)\nGCC version:  gcc version 13.2.0\n"
)
CLOSED_DRIVER = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}"
    "  Thu Jan  1 00:00:00 UTC 2026\nGCC version:  gcc version 12.2.0\n"
)
PARAMS = """ResmanDebugLevel: 4294967295
DeviceFileMode: 438
UsePageAttributeTable: {pat}
EnableResizableBar: 0
RegistryDwords: {words}
RegistryDwordsPerDevice: ""
"""


class Machine:
    """A healthy one, until a test changes it."""

    def __init__(self, root):
        self.root = root
        self.write("/proc/version", "Linux version 6.12.0")
        self.write("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet")
        self.write("/proc/1/cgroup", "0::/init.scope")
        self.driver(OPEN_DRIVER)
        self.params()
        for node in ("nvidiactl", "nvidia0", "nvidia-uvm"):
            self.write("/dev/" + node, "")
        self.write("/sys/devices/system/node/node0/cpulist", "0-7")
        self.gpu(GPU)

    def path(self, name):
        return self.root + name

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(text + "\n")

    def remove(self, name):
        path = self.path(name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.remove(path)

    def link(self, name, target):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)

    def driver(self, text):
        self.write("/proc/driver/nvidia/version", text)

    def params(self, pat="4294967295", words='""'):
        self.write(
            "/proc/driver/nvidia/params", PARAMS.format(pat=pat, words=words)
        )

    def no_driver(self):
        self.remove("/proc/driver/nvidia")
        for node in os.listdir(self.path("/dev")):
            self.remove("/dev/" + node)

    def sysfs(self, pci=GPU):
        return f"/sys/devices/pci0000:00/0000:00:01.0/{pci}/"

    def gpu(self, pci, minor=0, bar1=32 << 30):
        at = self.sysfs(pci)
        files = {
            "vendor": "0x10de",
            "class": "0x030200",
            "device": "0x2330",
            "numa_node": "-1",
            "current_link_speed": "32.0 GT/s PCIe",
            "max_link_speed": "32.0 GT/s PCIe",
            "current_link_width": "16",
            "max_link_width": "16",
        }
        for name, text in files.items():
            self.write(at + name, text)
        self.bar1(bar1, pci)
        port = "/sys/devices/pci0000:00/0000:00:01.0/"
        self.write(port + "vendor", "0x8086")
        self.write(port + "class", "0x060400")
        self.write(port + "max_link_speed", "32.0 GT/s PCIe")
        self.write(port + "max_link_width", "16")
        devices = "/sys/bus/pci/devices/"
        self.link(devices + pci, "../../../.." + at.rstrip("/"))
        if not os.path.lexists(self.path(devices + "0000:00:01.0")):
            self.link(devices + "0000:00:01.0", "../../../.." + port.rstrip("/"))
        self.write(
            f"/proc/driver/nvidia/gpus/{pci}/information",
            f"Model: \t\t NVIDIA H100\nDevice Minor: \t {minor}\nIRQ: 41",
        )

    def bar1(self, size, pci=GPU):
        """BAR0 of 16 MiB, BAR1 in the next two registers, BAR3 after it."""
        none = "0x0000000000000000 " * 2 + "0x0000000000000000"
        lines = (
            "0x00000000fa000000 0x00000000faffffff 0x0000000000040200",
            f"0x{0x38000000000:016x} 0x{0x38000000000 + size - 1:016x} "
            "0x000000000014220c",
            none,
            "0x000003a000000000 0x000003a001ffffff 0x000000000014220c",
            none,
            "0x0000000000003000 0x000000000000307f 0x0000000000040101",
            none,
        )
        self.write(self.sysfs(pci) + "resource", "\n".join(lines))

    def resizable(self, *sizes):
        """The sizes, in MiB, that BAR1 can have."""
        self.write(
            self.sysfs() + "resource1_resize", f"{sum(sizes):016x}"
        )

    def iommu(self, kind, group="12"):
        at = f"/sys/kernel/iommu_groups/{group}/"
        if kind:
            self.write(at + "type", kind)
        else:
            os.makedirs(self.path(at))
        self.link(
            self.sysfs() + "iommu_group", "../../../.." + at[4:].rstrip("/")
        )

    def library(self, source, name):
        os.makedirs(self.path("/lib"), exist_ok=True)
        shutil.copy(source, self.path("/lib/" + name))


class Doctor(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="gpumem-doctor-")
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        self.machine = Machine(folder.name)

    def environment(self, changes):
        env = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("GPUMEM_", "NVIDIA_", "FAKE_"))
        }
        env["GPUMEM_DOCTOR_ROOT"] = self.machine.root
        if "GPUMEM_SIM_LIBCUDA" in os.environ:
            env["GPUMEM_SIM_LIBCUDA"] = os.environ["GPUMEM_SIM_LIBCUDA"]
        env.update(changes)
        return env

    def run_doctor(self, *args, env=None, **options):
        return subprocess.run(
            [GPUMEM, "doctor", *args],
            env=self.environment(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    def look(self, *args, **options):
        """Runs it as text and as JSON; both must say the same. Gives the
        JSON's checks: name -> entry, or list of entries for several GPUs."""
        text = self.run_doctor(*args, **options)
        lines = []
        for line in text.stdout.splitlines()[:-1]:
            match = re.match(r"(ok|note|warn|fail) +(\S+) +(\S.*)$", line)
            self.assertTrue(match, line)
            lines.append(match.groups())
        self.assertTrue(lines, text.stderr)
        worst = max((line[0] for line in lines), key=LEVELS.index)
        self.assertEqual(text.returncode, STATUS[worst], text.stdout)
        self.check_count(text.stdout.splitlines()[-1], lines)
        self.text = text.stdout
        if not HAVE_JSON:
            return self.from_text(lines)
        done = self.run_doctor(*args, "--json", **options)
        self.assertEqual(done.returncode, STATUS[worst], done.stderr)
        out = json.loads(done.stdout)
        self.assertEqual(out["worst"], worst)
        self.assertEqual(out["exit_status"], STATUS[worst])
        self.out = out
        self.compare(lines, out["checks"])
        return self.by_name(out["checks"])

    def check_count(self, last, lines):
        count = {level: 0 for level in LEVELS}
        for line in lines:
            count[line[0]] += 1
        self.assertEqual(
            last,
            "{fail} failed, {warn} warned, {note} noted, {ok} ok".format(
                **count
            ),
        )

    def compare(self, lines, checks):
        self.assertEqual(
            [(level, name) for level, name, _ in lines],
            [(entry["level"], entry["check"]) for entry in checks],
        )
        for (_, name, text), entry in zip(lines, checks):
            if entry["level"] in ("warn", "fail"):
                self.assertTrue(entry["cost"], entry)
                self.assertTrue(entry["mend"], entry)
            if name in ("write-combining", "numa", "bar1"):
                continue  # measured, or of this very moment
            want = f"{entry['gpu']}: " if entry["gpu"] else ""
            want += entry["seen"]
            if entry["cost"]:
                want += f"; costs: {entry['cost']}"
            if entry["mend"]:
                want += f"; mend: {entry['mend']}"
            self.assertEqual(text, want)

    def from_text(self, lines):
        checks = []
        for level, name, text in lines:
            seen, _, mend = text.partition("; mend: ")
            seen, _, cost = seen.partition("; costs: ")
            checks.append(
                {"check": name, "level": level, "seen": seen}
                | {"cost": cost, "mend": mend, "values": {}, "gpu": None}
            )
        return self.by_name(checks)

    @staticmethod
    def by_name(checks):
        found = {}
        for entry in checks:
            found.setdefault(entry["check"], []).append(entry)
        return {k: v[0] if len(v) == 1 else v for k, v in found.items()}

    def expect(self, entry, level, *, seen="", cost="", mend=""):
        self.assertEqual(entry["level"], level, entry)
        for key, word in (("seen", seen), ("cost", cost), ("mend", mend)):
            self.assertIn(word, entry[key] or "", entry)

    def only(self, found, *names):
        """No other line is worse than a note."""
        for entry in found.values():
            for one in entry if isinstance(entry, list) else [entry]:
                if one["level"] in ("warn", "fail"):
                    self.assertIn(one["check"], names, one)


class Healthy(Doctor):
    def test_every_line(self):
        found = self.look()
        self.assertEqual(
            list(found),
            "gpu backend driver driver-settings cuda nvidiactl nvidia-uvm "
            "gpu-node container wsl2 mig confidential kernel-module gdrcopy "
            "dma-buf write-combining bar1 resizable-bar iommu pci-link numa "
            "memlock open-files".split(),
        )
        self.only(found)
        self.expect(found["gpu"], "ok", seen="1 on the PCI bus")
        self.expect(found["driver"], "ok", seen="580.159.04, open")
        self.expect(found["driver-settings"], "ok", seen="none that")
        for name in ("cuda", "dma-buf", "write-combining"):
            self.expect(found[name], "note", seen="no GPU is open")
        for name in ("nvidiactl", "nvidia-uvm", "gpu-node"):
            self.expect(found[name], "ok", seen="can be opened")
        self.expect(found["container"], "ok", seen="not in one")
        self.expect(found["wsl2"], "ok")
        self.expect(found["mig"], "ok")
        self.expect(found["confidential"], "ok")
        self.expect(found["kernel-module"], "note", mend="modprobe gpumem")
        self.expect(found["gdrcopy"], "ok", seen="needs neither")
        self.expect(found["bar1"], "ok", seen="32 GiB")
        self.expect(found["resizable-bar"], "ok")
        self.expect(found["iommu"], "ok", seen="none for the GPU")
        self.expect(found["pci-link"], "ok", seen="32 GT/s x16 (63 GB/s)")
        self.expect(found["numa"], "ok", seen="one node")

    def test_nothing_is_opened(self):
        found = self.look()
        self.expect(found["backend"], "note", seen="GPUMEM_DOCTOR_ROOT")
        self.assertNotIn("SIMULATED", self.text)

    def test_nvml(self):
        self.machine.library(NVML, "libnvidia-ml.so.1")
        env = {
            "FAKE_NVML_MEMORY": "24576",
            "FAKE_NVML_BAR1": "32768",
            "FAKE_NVML_BAR1_FREE": "32000",
            "FAKE_NVML_MIG": "0",
            "FAKE_NVML_CONFIDENTIAL": "0",
        }
        found = self.look(env=env)
        self.only(found)
        self.expect(found["bar1"], "ok", seen="768 MiB in use")
        self.expect(found["resizable-bar"], "ok", seen="covers all 24 GiB")
        self.expect(found["mig"], "ok", seen="off")
        self.expect(found["confidential"], "ok", seen="off")

    def test_two_gpus(self):
        self.machine.gpu("0000:86:00.0", minor=1)
        found = self.look()
        self.assertEqual(len(found["pci-link"]), 2)
        self.expect(found["gpu-node"][0], "ok", seen="/dev/nvidia0")
        self.expect(
            found["gpu-node"][1], "fail", seen="/dev/nvidia1 is not there"
        )
        if HAVE_JSON:
            self.assertEqual(found["numa"][1]["gpu"], "0000:86:00.0")

    def test_other_devices_are_left_out(self):
        at = self.machine.sysfs("0000:3b:00.1")
        self.machine.write(at + "vendor", "0x10de")
        self.machine.write(at + "class", "0x040300")
        self.machine.link(
            "/sys/bus/pci/devices/0000:3b:00.1",
            "../../../.." + at.rstrip("/"),
        )
        self.expect(self.look()["gpu"], "ok", seen="1 on the PCI bus")


class Driver(Doctor):
    def test_proprietary(self):
        self.machine.driver(CLOSED_DRIVER.format("550.54.15"))
        found = self.look()
        self.only(found)
        self.expect(
            found["driver"], "note", seen="550.54.15, proprietary",
            cost="dma-buf", mend="nvidia-open",
        )

    def test_old(self):
        self.machine.driver(CLOSED_DRIVER.format("470.256.02"))
        found = self.look()
        self.only(found, "driver")
        self.expect(
            found["driver"], "fail", seen="470.256.02", cost="rm refuses",
            mend="newer",
        )
        self.machine.write("/sys/module/gpumem/version", VERSION)
        self.machine.write("/dev/gpumem", "")
        self.expect(self.look()["driver"], "warn", cost="kmod alone")

    def test_first_supported(self):
        self.machine.driver(CLOSED_DRIVER.format("515.43.04"))
        self.expect(self.look()["driver"], "note", seen="515.43.04")

    def test_unreadable_version(self):
        for text in ("", "NVRM version: something else", "580.", ".5", "x1.2"):
            self.machine.driver(text)
            found = self.look()
            if text:
                self.expect(found["driver"], "warn", mend="dmesg")

    def test_not_loaded(self):
        self.machine.no_driver()
        found = self.look()
        self.only(found, "driver", "nvidiactl", "nvidia-uvm")
        self.expect(found["driver"], "fail", mend="modprobe nvidia")
        self.expect(found["nvidiactl"], "fail", mend="modprobe nvidia")

    def test_nouveau(self):
        self.machine.no_driver()
        self.machine.write("/sys/module/nouveau/refcnt", "1")
        self.expect(self.look()["driver"], "fail", seen="nouveau")

    def test_no_gpu(self):
        self.machine.no_driver()
        self.machine.remove("/sys/bus")
        found = self.look()
        self.only(found, "gpu")
        self.expect(found["gpu"], "fail", mend="--backend sim")
        self.expect(found["driver"], "note")
        self.assertNotIn("pci-link", found)

    def test_empty_machine(self):
        for name in os.listdir(self.machine.root):
            self.machine.remove("/" + name)
        self.only(self.look(), "gpu")

    def test_settings(self):
        self.machine.params(pat="0")
        found = self.look()
        self.only(found, "driver-settings")
        self.expect(
            found["driver-settings"], "warn", seen="UsePageAttributeTable",
            cost="write-combining", mend="/etc/modprobe.d",
        )
        self.machine.params(words='"RMExample=1"')
        self.expect(
            self.look()["driver-settings"], "note", seen='"RMExample=1"'
        )

    def test_nopat(self):
        for line in ("nopat", "quiet nopat", "nopat quiet", "a nopat b"):
            self.machine.write("/proc/cmdline", line)
            self.expect(self.look()["driver-settings"], "warn", seen="nopat")
        for line in ("nopatch", "quiet xnopat", "nopats quiet"):
            self.machine.write("/proc/cmdline", line)
            self.expect(self.look()["driver-settings"], "ok")

    def test_mig(self):
        at = "/proc/driver/nvidia/capabilities/"
        self.machine.write(at + "mig/config", "DeviceFileMinor: 1")
        os.makedirs(self.machine.path(at + "gpu0/mig"))
        self.expect(self.look()["mig"], "ok")
        for instance in ("gi1", "gi2"):
            self.machine.write(at + f"gpu0/mig/{instance}/access", "x")
        found = self.look()
        self.only(found, "mig")
        self.expect(
            found["mig"], "warn", seen="2 GPU instances", mend="-mig 0"
        )
        self.machine.remove(at + "gpu0")
        self.machine.library(NVML, "libnvidia-ml.so.1")
        found = self.look(env={"FAKE_NVML_MIG": "1"})
        self.expect(found["mig"], "warn", seen=GPU, mend=GPU)

    def test_confidential(self):
        self.machine.library(NVML, "libnvidia-ml.so.1")
        found = self.look(env={"FAKE_NVML_CONFIDENTIAL": "1"})
        self.only(found, "confidential")
        self.expect(found["confidential"], "fail", cost="refuses")
        self.machine.write("/dev/tdx_guest", "")
        found = self.look(env={"FAKE_NVML_CONFIDENTIAL": "0"})
        self.expect(found["confidential"], "note", seen="not in that mode")


class Nodes(Doctor):
    @unittest.skipUnless(os.geteuid() == 0, "only root can change the user")
    def test_permissions(self):
        for path in (GPUMEM, NVML):
            if not self.reachable(path):
                self.skipTest(f"an ordinary user cannot reach {path}")
        node = self.machine.path("/dev/nvidia0")
        os.chmod(node, 0o600)
        for other in ("nvidiactl", "nvidia-uvm"):
            os.chmod(self.machine.path("/dev/" + other), 0o666)
        found = self.look(user=NOBODY, group=NOBODY, extra_groups=[])
        self.only(found, "gpu-node")
        self.expect(
            found["gpu-node"], "fail", seen="may not open",
            mend="chmod 0666 /dev/nvidia0",
        )
        os.chown(node, 0, 44)
        os.chmod(node, 0o660)
        found = self.look(user=NOBODY, group=NOBODY, extra_groups=[])
        self.expect(found["gpu-node"], "fail", mend="usermod -aG video")
        self.machine.write("/sys/module/gpumem/version", VERSION)
        self.machine.write("/dev/gpumem", "")
        os.chmod(self.machine.path("/dev/gpumem"), 0o600)
        found = self.look(user=NOBODY, group=NOBODY, extra_groups=[])
        self.expect(
            found["kernel-module"], "warn", cost="kmod",
            mend="chmod 0666 /dev/gpumem",
        )

    @staticmethod
    def reachable(path):
        done = subprocess.run(
            ["test", "-r", path], user=NOBODY, group=NOBODY, extra_groups=[],
            check=False,
        )
        return done.returncode == 0

    def test_missing(self):
        for name, check in (
            ("nvidiactl", "nvidiactl"),
            ("nvidia-uvm", "nvidia-uvm"),
            ("nvidia0", "gpu-node"),
        ):
            self.machine.remove("/dev/" + name)
            found = self.look()
            self.only(found, check)
            self.expect(
                found[check], "fail", seen=f"/dev/{name} is not there",
                mend="nvidia-modprobe -c 0 -u",
            )
            self.machine.write("/dev/" + name, "")

    def test_number_of_the_node(self):
        self.machine.write(
            f"/proc/driver/nvidia/gpus/{GPU}/information",
            "Device Minor: \t 7",
        )
        self.expect(self.look()["gpu-node"], "fail", seen="/dev/nvidia7")

    def test_container_with_nodes(self):
        self.machine.write("/.dockerenv", "")
        found = self.look(env={"NVIDIA_VISIBLE_DEVICES": "all"})
        self.only(found)
        self.expect(found["container"], "ok", seen='docker, with GPU nodes')
        self.assertIn('DEVICES is "all"', found["container"]["seen"])

    def test_container_without_nodes(self):
        self.machine.write("/.dockerenv", "")
        for node in ("nvidiactl", "nvidia0", "nvidia-uvm"):
            self.machine.remove("/dev/" + node)
        found = self.look()
        self.only(found, "container", "nvidiactl", "nvidia-uvm", "gpu-node")
        self.expect(
            found["container"], "fail", seen="VISIBLE_DEVICES is not set",
            mend="docker run --gpus all",
        )
        self.expect(found["nvidiactl"], "fail", mend="--gpus all")
        found = self.look(env={"NVIDIA_VISIBLE_DEVICES": "void"})
        self.expect(found["container"], "fail", seen='DEVICES is "void"')

    def test_kinds_of_containers(self):
        self.machine.write("/run/.containerenv", "")
        self.expect(self.look()["container"], "ok", seen="podman")
        self.machine.remove("/run")
        self.machine.write("/proc/1/cgroup", "0::/kubepods/besteffort/pod1")
        self.expect(self.look()["container"], "ok", seen="kubernetes")
        self.machine.remove("/dev/nvidiactl")
        self.expect(self.look()["container"], "fail", mend="nvidia.com/gpu")
        self.machine.write("/dev/nvidiactl", "")
        self.machine.write("/proc/1/cgroup", "0::/")
        mounts = (
            "22 27 0:21 / /proc rw - proc proc rw\n"
            "40 27 8:1 /lib/docker/containers/1f/{0} /etc/{1} rw - ext4 / rw"
        )
        self.machine.write(
            "/proc/self/mountinfo", mounts.format("hosts", "hosts")
        )
        self.expect(self.look()["container"], "ok", seen="docker")
        self.machine.write(
            "/proc/self/mountinfo", mounts.format("merged", "elsewhere")
        )
        self.expect(self.look()["container"], "ok", seen="not in one")

    def test_wsl(self):
        self.machine.no_driver()
        self.machine.remove("/sys/bus")
        self.machine.write("/dev/dxg", "")
        found = self.look()
        self.only(found, "wsl2")
        self.expect(found["wsl2"], "fail", seen="WSL2", mend="Linux itself")
        self.machine.remove("/dev/dxg")
        self.machine.write(
            "/proc/version", "Linux version 6.6.87-microsoft-standard-WSL2"
        )
        self.expect(self.look()["wsl2"], "fail")

    def test_module(self):
        self.machine.write("/sys/module/gpumem/version", VERSION)
        self.machine.write("/dev/gpumem", "")
        self.expect(
            self.look()["kernel-module"], "ok", seen=f"gpumem.ko {VERSION}"
        )
        self.machine.remove("/dev/gpumem")
        self.expect(self.look()["kernel-module"], "warn", seen="No such file")
        self.machine.write("/sys/module/gpumem/version", "0.0.9")
        self.expect(
            self.look()["kernel-module"], "warn", seen="0.0.9", mend="rmmod"
        )

    def test_gdrcopy(self):
        self.machine.library(GDRAPI, "libgdrapi.so.2")
        self.expect(self.look()["gdrcopy"], "ok", seen="libgdrapi.so.2 2.6")
        self.machine.write("/sys/module/gdrdrv/version", "2.6")
        self.expect(self.look()["gdrcopy"], "note", mend="gdrdrv")
        self.machine.write("/.dockerenv", "")
        self.expect(self.look()["gdrcopy"], "note", mend="NVIDIA_GDRCOPY")
        self.machine.write("/dev/gdrdrv", "")
        self.expect(self.look()["gdrcopy"], "ok", seen="gdrdrv 2.6 through")


class Bus(Doctor):
    def test_bar1_could_be_larger(self):
        self.machine.bar1(256 * MIB)
        self.machine.resizable(64, 128, 256, 512, 32768)
        found = self.look()
        self.only(found, "resizable-bar")
        self.expect(
            found["resizable-bar"], "warn", seen="256 MiB, it can have 32 GiB",
            cost="only 256 MiB", mend="NVreg_EnableResizableBar=1",
        )
        self.machine.remove("/proc/driver/nvidia/params")
        found = self.look()
        self.expect(
            found["resizable-bar"], "warn",
            mend=f"echo 15 | sudo tee /sys/bus/pci/devices/{GPU}/resource1",
        )

    def test_bar1_has_its_largest_size(self):
        self.machine.resizable(256, 32768)
        self.expect(self.look()["resizable-bar"], "ok", seen="largest")

    def test_bar1_cannot_be_resized(self):
        self.machine.bar1(256 * MIB)
        self.expect(self.look()["resizable-bar"], "ok", seen="cannot be")
        self.machine.library(NVML, "libnvidia-ml.so.1")
        env = {
            "FAKE_NVML_MEMORY": "24576",
            "FAKE_NVML_BAR1": "256",
            "FAKE_NVML_BAR1_FREE": "250",
        }
        found = self.look(env=env)
        self.only(found, "resizable-bar")
        self.expect(
            found["resizable-bar"], "warn", seen="part of 24 GiB",
            cost="only 256 MiB", mend="firmware",
        )

    def test_bar1_is_used_up(self):
        self.machine.library(NVML, "libnvidia-ml.so.1")
        env = {"FAKE_NVML_BAR1": "256", "FAKE_NVML_BAR1_FREE": "15"}
        found = self.look(env=env)
        self.expect(
            found["bar1"], "warn", seen="15 MiB free", cost="15 MiB fails",
            mend="nvidia-smi",
        )
        env["FAKE_NVML_BAR1_FREE"] = "16"
        self.expect(self.look(env=env)["bar1"], "ok")

    def test_bar1_unknown(self):
        for text in ("", "garbage", "0x0 0x0 0x0\n"):
            self.machine.write(self.machine.sysfs() + "resource", text)
            found = self.look()
            self.expect(found["bar1"], "note", seen="cannot be seen")
            self.assertNotIn("resizable-bar", found)

    def test_iommu(self):
        self.machine.iommu("DMA-FQ")
        self.machine.write("/proc/cmdline", "ro intel_iommu=on quiet")
        found = self.look()
        self.only(found)
        self.expect(
            found["iommu"], "note", seen="group 12 translates (DMA-FQ), "
            "started with intel_iommu=on", cost="gpumem_dma_map",
            mend="iommu=pt",
        )

    def test_iommu_passthrough(self):
        self.machine.iommu("identity")
        self.machine.write("/proc/cmdline", "ro intel_iommu=on iommu=pt")
        self.expect(
            self.look()["iommu"], "ok",
            seen="passes addresses through, started with iommu=pt "
            "intel_iommu=on",
        )

    def test_iommu_unknown(self):
        self.machine.iommu(None)
        self.expect(self.look()["iommu"], "note", seen="cannot be read")

    def test_narrow_link(self):
        at = self.machine.sysfs()
        self.machine.write(at + "current_link_width", "8")
        found = self.look()
        self.only(found, "pci-link")
        self.expect(
            found["pci-link"], "warn",
            seen="32 GT/s x8 (31.5 GB/s), the GPU can do 32 GT/s x16",
            cost="50% of 63 GB/s", mend="16 lanes",
        )

    def test_idle_link(self):
        at = self.machine.sysfs()
        self.machine.write(at + "current_link_speed", "2.5 GT/s PCIe")
        found = self.look()
        self.only(found)
        self.expect(
            found["pci-link"], "note", seen="2.5 GT/s x16 (4 GB/s)",
            cost="idle", mend="at work",
        )

    def test_slow_slot(self):
        at = self.machine.sysfs()
        self.machine.write(at + "current_link_speed", "16.0 GT/s PCIe")
        self.machine.write(
            "/sys/devices/pci0000:00/0000:00:01.0/max_link_speed",
            "16.0 GT/s PCIe",
        )
        found = self.look()
        self.only(found, "pci-link")
        self.expect(
            found["pci-link"], "warn", cost="50% of 63 GB/s: the slot",
            mend="slot of 32 GT/s x16",
        )

    def test_link_unknown(self):
        at = self.machine.sysfs()
        for text in ("Unknown", "", "Unknown speed"):
            self.machine.write(at + "current_link_speed", text)
            self.expect(self.look()["pci-link"], "note", seen="cannot be seen")
        self.machine.write(at + "current_link_speed", "32.0 GT/s PCIe")
        self.machine.write(at + "current_link_width", "255")
        self.expect(self.look()["pci-link"], "note", seen="cannot be seen")

    def test_slot_unknown(self):
        self.machine.remove(
            "/sys/devices/pci0000:00/0000:00:01.0/max_link_speed"
        )
        self.expect(self.look()["pci-link"], "ok")

    def test_numa(self):
        at = self.machine.sysfs()
        self.machine.write("/sys/devices/system/node/node7/cpulist", "8-15")
        self.machine.write(at + "numa_node", "7")
        found = self.look()
        self.only(found, "numa")
        self.expect(
            found["numa"], "warn", seen="the GPU is on node 7",
            cost="sockets", mend="numactl --cpunodebind=7 --membind=7",
        )
        self.machine.write(at + "numa_node", "-1")
        self.expect(self.look()["numa"], "note", seen="unknown")


class Limits(Doctor):
    @staticmethod
    def limit(what, value):
        def change():
            resource.setrlimit(what, (value, resource.getrlimit(what)[1]))

        return change

    def test_memlock(self):
        change = self.limit(resource.RLIMIT_MEMLOCK, 64 << 10)
        self.expect(
            self.look(preexec_fn=change)["memlock"], "note",
            seen="0.0625 MiB", mend="limits.d",
        )

    def test_open_files(self):
        change = self.limit(resource.RLIMIT_NOFILE, 128)
        found = self.look(preexec_fn=change)
        self.only(found, "open-files")
        self.expect(
            found["open-files"], "warn", seen="128", mend="ulimit -n"
        )
        change = self.limit(resource.RLIMIT_NOFILE, 1024)
        self.expect(self.look(preexec_fn=change)["open-files"], "note")


class Simulated(Doctor):
    def test_says_so(self):
        found = self.look("--backend", "sim")
        for name in ("gpu", "cuda", "write-combining"):
            self.assertIn("SIMULATED", found[name]["seen"])
        self.expect(found["backend"], "ok", seen="simulated")
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
        self.expect(found["driver"], "note", seen="not loaded")

    def test_environment(self):
        found = self.look(env={"GPUMEM_BACKEND": "sim"})
        self.expect(found["backend"], "ok", seen="sim")

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
        self.assertIn("(SIMULATED)", found["bar1"]["seen"])
        # The GPU is in use: an idle link is no excuse.
        self.expect(found["pci-link"], "warn", cost="50%")

    def test_unusable(self):
        env = {"GPUMEM_SIM_LIBCUDA": "/nonexistent/libcuda.so.1"}
        found = self.look("--backend=sim", env=env)
        self.only(found, "backend")
        self.expect(found["backend"], "fail", seen="libcuda")

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


def probe(*args):
    return subprocess.run(
        [GPUMEM, *args],
        env=dict(os.environ, GPUMEM_BACKEND="sim"),
        capture_output=True, text=True, check=False,
    )


HAVE_JSON = probe("info", "--json").returncode == OK
VERSION = probe("--version").stdout.split()[1]
SIM_GPU = re.search(r"PCI +(\S+)", probe("info").stdout).group(1)

if __name__ == "__main__":
    unittest.main()
