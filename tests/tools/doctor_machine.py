# SPDX-License-Identifier: MIT
"""Made-up machines for the tests of `gpumem doctor`.

Each machine is a folder with the files of /proc, /sys and /dev that the command
looks at; GPUMEM_DOCTOR_ROOT names it. No GPU is opened, but the simulated one
where a test asks for it.

Takes GPUMEM FAKE_NVML FAKE_GDRAPI from the arguments of the test that imports it.
"""

import json
import os
import re
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

    SWITCH = "/sys/devices/pci0000:00/0000:00:01.0/0000:3c:00.0"

    def device(self, at, **files):
        """A device at a place of sysfs, and its name among all of them."""
        for name, text in files.items():
            self.write(f"{at}/{name}", text)
        name = "/sys/bus/pci/devices/" + os.path.basename(at)
        if os.path.lexists(self.path(name)):
            os.remove(self.path(name))
        self.link(name, "../../../.." + at)

    def board(self, pci):
        at = f"{self.SWITCH}/0000:3d:01.0/{pci}"
        self.device(at, vendor="0x10ee")
        self.write(at + "/class", "0x120000")

    def switch(self, board=0, gpu=0, root=True):
        """A switch above the GPU and a board; what the ports' ACS has set."""
        bridge = {"vendor": "0x1000", "class": "0x060400"}
        self.device(self.SWITCH, **bridge)
        for slot, control in ((0, gpu), (1, board)):
            at = f"{self.SWITCH}/0000:3d:{slot:02x}.0"
            self.device(at, **bridge)
            config = bytearray(4096 if root else 64)
            if root:
                # Error reporting, then ACS.
                config[0x100:0x104] = (0x20020001).to_bytes(4, "little")
                config[0x200:0x204] = (0x0001000D).to_bytes(4, "little")
                config[0x206:0x208] = control.to_bytes(2, "little")
            with open(self.path(at + "/config"), "wb") as file:
                file.write(config)
        if not os.path.isdir(self.path(f"{self.SWITCH}/0000:3d:00.0/{GPU}")):
            shutil.move(
                self.path(self.sysfs()),
                self.path(f"{self.SWITCH}/0000:3d:00.0/{GPU}"),
            )
        at = f"{self.SWITCH}/0000:3d:00.0/"
        self.write(at + "max_link_speed", "32.0 GT/s PCIe")
        self.write(at + "max_link_width", "16")
        self.device(at + GPU)
        self.board("0000:3f:00.0")

    def iommu(self, kind, group="12", pci=GPU):
        at = f"/sys/kernel/iommu_groups/{group}/"
        if kind:
            self.write(at + "type", kind)
        else:
            os.makedirs(self.path(at))
        device = os.path.realpath(self.path("/sys/bus/pci/devices/" + pci))
        os.symlink(
            os.path.relpath(self.path(at), device), device + "/iommu_group"
        )

    def library(self, source, name):
        os.makedirs(self.path("/lib"), exist_ok=True)
        shutil.copy(source, self.path("/lib/" + name))


def unwrapped(text):
    """What doctor prints with one line for each check."""
    return re.sub(r"\n +(?:(impact|fix): +)?", lambda match: (
        f" {match[1]}: " if match[1] else " "), text)


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
            check=False,
            **options,
        )

    def look(self, *args, **options):
        """Runs it as text and as JSON; both must say the same. Gives the
        JSON's checks: name -> entry, or list of entries for several GPUs."""
        text = self.run_doctor(*args, **options)
        self.narrow(text.stdout)
        lines = []
        for line in unwrapped(text.stdout).splitlines()[:-1]:
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

    def narrow(self, text):
        """No line is longer than 80 columns but for one long word."""
        for line in text.splitlines():
            start = re.match(r" *(?:(?:impact|fix): +)?", line).end()
            if " " in line[start:]:
                self.assertLessEqual(len(line), 80, line)

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
                self.assertTrue(entry["impact"], entry)
                self.assertTrue(entry["fix"], entry)
            if name in ("write-combining", "numa", "bar1"):
                continue  # measured, or of this very moment
            want = f"{entry['gpu']}: " if entry["gpu"] else ""
            want += entry["found"]
            if entry["impact"]:
                want += f" impact: {entry['impact']}"
            if entry["fix"]:
                want += f" fix: {entry['fix']}"
            self.assertEqual(text, want)

    def from_text(self, lines):
        checks = []
        for level, name, text in lines:
            found, _, fix = text.partition(" fix: ")
            found, _, impact = found.partition(" impact: ")
            checks.append(
                {"check": name, "level": level, "found": found}
                | {"impact": impact, "fix": fix, "values": {}, "gpu": None}
            )
        return self.by_name(checks)

    @staticmethod
    def by_name(checks):
        found = {}
        for entry in checks:
            found.setdefault(entry["check"], []).append(entry)
        return {k: v[0] if len(v) == 1 else v for k, v in found.items()}

    def expect(self, entry, level, *, found="", impact="", fix=""):
        self.assertEqual(entry["level"], level, entry)
        for key, word in (("found", found), ("impact", impact), ("fix", fix)):
            self.assertIn(word, entry[key] or "", entry)

    def only(self, found, *names):
        """No other line is worse than a note."""
        for entry in found.values():
            for one in entry if isinstance(entry, list) else [entry]:
                if one["level"] in ("warn", "fail"):
                    self.assertIn(one["check"], names, one)


def probe(*args):
    return subprocess.run(
        [GPUMEM, *args],
        env=dict(os.environ, GPUMEM_BACKEND="sim"),
        capture_output=True, text=True, check=False,
    )


HAVE_JSON = probe("info", "--json").returncode == OK
VERSION = probe("--version").stdout.split()[1]
SIM_GPU = re.search(r"PCI +(\S+)", probe("info").stdout).group(1)
