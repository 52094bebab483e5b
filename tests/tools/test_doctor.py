#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `gpumem doctor` says of machines: see doctor_machine.py.

Usage: test_doctor.py GPUMEM FAKE_NVML FAKE_GDRAPI [unittest options]
"""

import os
import resource
import subprocess
import unittest

from doctor_machine import (
    CLOSED_DRIVER,
    Doctor,
    GDRAPI,
    GPU,
    GPUMEM,
    HAVE_JSON,
    MIB,
    NOBODY,
    NVML,
    VERSION,
)


class Healthy(Doctor):
    def test_every_line(self):
        found = self.look()
        self.assertEqual(
            list(found),
            "gpu backend driver driver-settings cuda nvidiactl nvidia-uvm "
            "gpu-node container wsl2 mig confidential kernel-module gdrcopy "
            "dma-buf write-combining bar1 resizable-bar iommu pci-peers pci-link "
            "numa memlock open-files".split(),
        )
        self.only(found)
        self.expect(found["gpu"], "ok", found="1 on the PCI bus")
        self.expect(found["driver"], "ok", found="580.159.04, open")
        self.expect(found["driver-settings"], "ok", found="none that")
        for name in ("cuda", "dma-buf", "write-combining"):
            self.expect(found[name], "note", found="no GPU is open")
        for name in ("nvidiactl", "nvidia-uvm", "gpu-node"):
            self.expect(found[name], "ok", found="can be opened")
        self.expect(found["container"], "ok", found="not in one")
        self.expect(found["wsl2"], "ok")
        self.expect(found["mig"], "ok")
        self.expect(found["confidential"], "ok")
        self.expect(
            found["kernel-module"], "note", found="not installed for this",
            fix="make install-module",
        )
        self.expect(found["gdrcopy"], "ok", found="needs neither")
        self.expect(found["bar1"], "ok", found="32 GiB")
        self.expect(found["resizable-bar"], "ok")
        self.expect(found["iommu"], "ok", found="none for the GPU")
        self.expect(found["pci-peers"], "ok", found="none below a switch")
        self.expect(found["pci-link"], "ok", found="32 GT/s x16 (63 GB/s)")
        self.expect(found["numa"], "ok", found="one node")

    def test_nothing_is_opened(self):
        found = self.look()
        self.expect(found["backend"], "note", found="GPUMEM_DOCTOR_ROOT")
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
        self.expect(found["bar1"], "ok", found="768 MiB in use")
        self.expect(found["resizable-bar"], "ok", found="covers all 24 GiB")
        self.expect(found["mig"], "ok", found="off")
        self.expect(found["confidential"], "ok", found="off")

    def test_two_gpus(self):
        self.machine.gpu("0000:86:00.0", minor=1)
        found = self.look()
        self.assertEqual(len(found["pci-link"]), 2)
        self.expect(found["gpu-node"][0], "ok", found="/dev/nvidia0")
        self.expect(
            found["gpu-node"][1], "fail", found="/dev/nvidia1 is not there"
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
        self.expect(self.look()["gpu"], "ok", found="1 on the PCI bus")


class Driver(Doctor):
    def test_proprietary(self):
        self.machine.driver(CLOSED_DRIVER.format("550.54.15"))
        found = self.look()
        self.only(found)
        self.expect(
            found["driver"], "note", found="550.54.15, proprietary",
            impact="dma-buf", fix="nvidia-open",
        )

    def test_old(self):
        self.machine.driver(CLOSED_DRIVER.format("470.256.02"))
        found = self.look()
        self.only(found, "driver")
        self.expect(
            found["driver"], "fail", found="470.256.02", impact="rm refuses",
            fix="newer",
        )
        self.machine.write("/sys/module/gpumem/version", VERSION)
        self.machine.write("/dev/gpumem", "")
        self.expect(self.look()["driver"], "warn", impact="kmod alone")

    def test_first_supported(self):
        self.machine.driver(CLOSED_DRIVER.format("515.43.04"))
        self.expect(self.look()["driver"], "note", found="515.43.04")

    def test_unreadable_version(self):
        for text in ("", "NVRM version: something else", "580.", ".5", "x1.2"):
            self.machine.driver(text)
            found = self.look()
            if text:
                self.expect(found["driver"], "warn", fix="dmesg")

    def test_not_loaded(self):
        self.machine.no_driver()
        found = self.look()
        self.only(found, "driver", "nvidiactl", "nvidia-uvm")
        self.expect(found["driver"], "fail", fix="modprobe nvidia")
        self.expect(found["nvidiactl"], "fail", fix="modprobe nvidia")

    def test_nouveau(self):
        self.machine.no_driver()
        self.machine.write("/sys/module/nouveau/refcnt", "1")
        self.expect(self.look()["driver"], "fail", found="nouveau")

    def test_no_gpu(self):
        self.machine.no_driver()
        self.machine.remove("/sys/bus")
        found = self.look()
        self.only(found, "gpu")
        self.expect(found["gpu"], "fail", fix="--backend sim")
        self.expect(found["driver"], "note")
        self.assertNotIn("pci-link", found)
        self.assertNotIn("modprobe", self.text)
        self.expect(found["kernel-module"], "note", found="no GPU for it")

    def test_empty_machine(self):
        for name in os.listdir(self.machine.root):
            self.machine.remove("/" + name)
        self.only(self.look(), "gpu")

    def test_settings(self):
        self.machine.params(pat="0")
        found = self.look()
        self.only(found, "driver-settings")
        self.expect(
            found["driver-settings"], "warn", found="UsePageAttributeTable",
            impact="write-combining", fix="/etc/modprobe.d",
        )
        self.machine.params(words='"RMExample=1"')
        self.expect(
            self.look()["driver-settings"], "note", found='"RMExample=1"'
        )

    def test_nopat(self):
        for line in ("nopat", "quiet nopat", "nopat quiet", "a nopat b"):
            self.machine.write("/proc/cmdline", line)
            self.expect(self.look()["driver-settings"], "warn", found="nopat")
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
            found["mig"], "warn", found="2 GPU instances", fix="-mig 0"
        )
        self.machine.remove(at + "gpu0")
        self.machine.library(NVML, "libnvidia-ml.so.1")
        found = self.look(env={"FAKE_NVML_MIG": "1"})
        self.expect(found["mig"], "warn", found=GPU, fix=GPU)

    def test_confidential(self):
        self.machine.library(NVML, "libnvidia-ml.so.1")
        found = self.look(env={"FAKE_NVML_CONFIDENTIAL": "1"})
        self.only(found, "confidential")
        self.expect(found["confidential"], "fail", impact="refuses")
        self.machine.write("/dev/tdx_guest", "")
        found = self.look(env={"FAKE_NVML_CONFIDENTIAL": "0"})
        self.expect(found["confidential"], "note", found="not in that mode")


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
            found["gpu-node"], "fail", found="may not open",
            fix="NVreg_DeviceFileMode=0660",
        )
        os.chown(node, 0, 44)
        os.chmod(node, 0o660)
        found = self.look(user=NOBODY, group=NOBODY, extra_groups=[])
        self.expect(found["gpu-node"], "fail", fix="usermod -aG video")
        self.machine.write("/sys/module/gpumem/version", VERSION)
        self.machine.write("/dev/gpumem", "")
        os.chmod(self.machine.path("/dev/gpumem"), 0o600)
        found = self.look(user=NOBODY, group=NOBODY, extra_groups=[])
        self.expect(
            found["kernel-module"], "warn", impact="kmod",
            fix="chmod 0660 /dev/gpumem; sudo usermod -aG gpumem",
        )
        self.assertNotIn("0666", self.text)

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
                found[check], "fail", found=f"/dev/{name} is not there",
                fix="nvidia-modprobe -c 0 -u",
            )
            self.machine.write("/dev/" + name, "")

    def test_number_of_the_node(self):
        self.machine.write(
            f"/proc/driver/nvidia/gpus/{GPU}/information",
            "Device Minor: \t 7",
        )
        self.expect(self.look()["gpu-node"], "fail", found="/dev/nvidia7")

    def test_container_with_nodes(self):
        self.machine.write("/.dockerenv", "")
        found = self.look(env={"NVIDIA_VISIBLE_DEVICES": "all"})
        self.only(found)
        self.expect(found["container"], "ok", found='docker, with GPU nodes')
        self.assertIn('DEVICES is "all"', found["container"]["found"])

    def test_container_without_nodes(self):
        self.machine.write("/.dockerenv", "")
        for node in ("nvidiactl", "nvidia0", "nvidia-uvm"):
            self.machine.remove("/dev/" + node)
        found = self.look()
        self.only(found, "container", "nvidiactl", "nvidia-uvm", "gpu-node")
        self.expect(
            found["container"], "fail", found="VISIBLE_DEVICES is not set",
            fix="docker run --gpus all",
        )
        self.expect(found["nvidiactl"], "fail", fix="--gpus all")
        found = self.look(env={"NVIDIA_VISIBLE_DEVICES": "void"})
        self.expect(found["container"], "fail", found='DEVICES is "void"')

    def test_kinds_of_containers(self):
        self.machine.write("/run/.containerenv", "")
        self.expect(self.look()["container"], "ok", found="podman")
        self.machine.remove("/run")
        self.machine.write("/proc/1/cgroup", "0::/kubepods/besteffort/pod1")
        self.expect(self.look()["container"], "ok", found="kubernetes")
        self.machine.remove("/dev/nvidiactl")
        self.expect(self.look()["container"], "fail", fix="nvidia.com/gpu")
        self.machine.write("/dev/nvidiactl", "")
        self.machine.write("/proc/1/cgroup", "0::/")
        mounts = (
            "22 27 0:21 / /proc rw - proc proc rw\n"
            "40 27 8:1 /lib/docker/containers/1f/{0} /etc/{1} rw - ext4 / rw"
        )
        self.machine.write(
            "/proc/self/mountinfo", mounts.format("hosts", "hosts")
        )
        self.expect(self.look()["container"], "ok", found="docker")
        self.machine.write(
            "/proc/self/mountinfo", mounts.format("merged", "elsewhere")
        )
        self.expect(self.look()["container"], "ok", found="not in one")

    def test_wsl(self):
        self.machine.no_driver()
        self.machine.remove("/sys/bus")
        self.machine.write("/dev/dxg", "")
        found = self.look()
        self.only(found, "wsl2")
        self.expect(found["wsl2"], "fail", found="WSL2", fix="Linux itself")
        self.machine.remove("/dev/dxg")
        self.machine.write(
            "/proc/version", "Linux version 6.6.87-microsoft-standard-WSL2"
        )
        self.expect(self.look()["wsl2"], "fail")

    def test_module(self):
        self.machine.write("/sys/module/gpumem/version", VERSION)
        self.machine.write("/dev/gpumem", "")
        self.expect(
            self.look()["kernel-module"], "ok", found=f"gpumem.ko {VERSION}"
        )
        self.machine.remove("/dev/gpumem")
        self.expect(self.look()["kernel-module"], "warn", found="No such file")
        self.machine.write("/sys/module/gpumem/version", "0.0.9")
        self.expect(
            self.look()["kernel-module"], "warn", found="0.0.9", fix="rmmod"
        )

    def test_module_that_could_be_loaded(self):
        at = f"/lib/modules/{os.uname().release}/"
        for place in (
            "updates/dkms/gpumem.ko", "updates/gpumem.ko.xz",
            "extra/gpumem.ko.zst",
        ):
            self.machine.write(at + place, "")
            self.expect(
                self.look()["kernel-module"], "note", found="is not loaded",
                fix="sudo modprobe gpumem",
            )
            self.machine.remove(at + place)
        # Of another kernel, or another module.
        self.machine.write("/lib/modules/1.2.3/updates/gpumem.ko", "")
        self.machine.write(at + "updates/gpumem-emu.ko", "")
        self.assertNotIn("modprobe", self.look()["kernel-module"]["fix"])

    def test_module_that_lost_its_node(self):
        self.machine.write("/sys/module/gpumem/version", VERSION)
        self.expect(
            self.look()["kernel-module"], "warn",
            fix="sudo rmmod gpumem, and load it as it was loaded",
        )
        at = f"/lib/modules/{os.uname().release}/updates/dkms/gpumem.ko"
        self.machine.write(at, "")
        self.expect(
            self.look()["kernel-module"], "warn",
            fix="sudo modprobe -r gpumem; sudo modprobe gpumem",
        )

    def test_gdrcopy(self):
        self.machine.library(GDRAPI, "libgdrapi.so.2")
        self.expect(self.look()["gdrcopy"], "ok", found="libgdrapi.so.2 2.6")
        self.machine.write("/sys/module/gdrdrv/version", "2.6")
        self.expect(self.look()["gdrcopy"], "note", fix="gdrdrv")
        self.machine.write("/.dockerenv", "")
        self.expect(self.look()["gdrcopy"], "note", fix="NVIDIA_GDRCOPY")
        self.machine.write("/dev/gdrdrv", "")
        self.expect(self.look()["gdrcopy"], "ok", found="gdrdrv 2.6 through")


class Bus(Doctor):
    def test_bar1_could_be_larger(self):
        self.machine.bar1(256 * MIB)
        self.machine.resizable(64, 128, 256, 512, 32768)
        found = self.look()
        self.only(found, "resizable-bar")
        self.expect(
            found["resizable-bar"], "warn", found="256 MiB, it can have 32 GiB",
            impact="only 256 MiB", fix="NVreg_EnableResizableBar=1",
        )
        self.machine.remove("/proc/driver/nvidia/params")
        found = self.look()
        self.expect(
            found["resizable-bar"], "warn",
            fix=f"echo 15 | sudo tee /sys/bus/pci/devices/{GPU}/resource1",
        )

    def test_bar1_has_its_largest_size(self):
        self.machine.resizable(256, 32768)
        self.expect(self.look()["resizable-bar"], "ok", found="largest")
        # Bits that stand for no size of a BAR.
        self.machine.resizable(256, 32768, 1 << 44, 1 << 63)
        self.expect(self.look()["resizable-bar"], "ok", found="largest")

    def test_bar1_cannot_be_resized(self):
        self.machine.bar1(256 * MIB)
        self.expect(self.look()["resizable-bar"], "ok", found="cannot be")
        self.machine.library(NVML, "libnvidia-ml.so.1")
        env = {
            "FAKE_NVML_MEMORY": "24576",
            "FAKE_NVML_BAR1": "256",
            "FAKE_NVML_BAR1_FREE": "250",
        }
        found = self.look(env=env)
        self.only(found, "resizable-bar")
        self.expect(
            found["resizable-bar"], "warn", found="part of 24 GiB",
            impact="only 256 MiB", fix="firmware",
        )

    def test_bar1_is_used_up(self):
        self.machine.library(NVML, "libnvidia-ml.so.1")
        env = {"FAKE_NVML_BAR1": "256", "FAKE_NVML_BAR1_FREE": "15"}
        found = self.look(env=env)
        self.expect(
            found["bar1"], "warn", found="15 MiB free", impact="15 MiB fails",
            fix="nvidia-smi",
        )
        env["FAKE_NVML_BAR1_FREE"] = "16"
        self.expect(self.look(env=env)["bar1"], "ok")

    def test_bar1_unknown(self):
        for text in ("", "garbage", "0x0 0x0 0x0\n"):
            self.machine.write(self.machine.sysfs() + "resource", text)
            found = self.look()
            self.expect(found["bar1"], "note", found="cannot be seen")
            self.assertNotIn("resizable-bar", found)

    def test_iommu(self):
        self.machine.iommu("DMA-FQ")
        self.machine.write("/proc/cmdline", "ro intel_iommu=on quiet")
        found = self.look()
        self.only(found)
        self.expect(
            found["iommu"], "note", found="group 12 translates (DMA-FQ), "
            "started with intel_iommu=on", impact="gpumem_dma_map",
            fix="iommu=pt",
        )

    def test_iommu_passthrough(self):
        self.machine.iommu("identity")
        self.machine.write("/proc/cmdline", "ro intel_iommu=on iommu=pt")
        self.expect(
            self.look()["iommu"], "ok",
            found="passes addresses through, started with iommu=pt "
            "intel_iommu=on",
        )

    def test_iommu_unknown(self):
        self.machine.iommu(None)
        self.expect(self.look()["iommu"], "note", found="cannot be read")

    def test_peers(self):
        self.machine.switch()
        found = self.look()
        self.only(found)
        self.expect(
            found["pci-peers"], "ok",
            found="1 device below 0000:3c:00.0 with the GPU (0000:3f:00.0); "
            "no port redirects",
        )

    def test_peers_for_users(self):
        self.machine.switch(root=False)
        self.expect(
            self.look()["pci-peers"], "ok", found="shown to root only"
        )

    def test_peers_many(self):
        self.machine.switch()
        for n in range(1, 6):
            self.machine.board(f"0000:3f:00.{n}")
        self.expect(
            self.look()["pci-peers"], "ok", found="6 devices below"
        )
        self.assertIn(", ...)", " ".join(self.text.split()))

    def test_peers_blocked(self):
        # Requests of the board, or held back, or answers of the GPU.
        for board, gpu, port in (
            (0x04, 0, "0000:3d:01.0"), (0x20, 0, "0000:3d:01.0"),
            (0x1D, 0x1D, "0000:3d:01.0"), (0, 0x08, "0000:3d:00.0"),
        ):
            self.machine.switch(board, gpu)
            found = self.look()
            self.only(found, "pci-peers")
            self.expect(
                found["pci-peers"], "warn",
                found=f"the port {port} redirects requests (ACS), and there "
                "is no IOMMU",
                impact="gpumem_dma_map() is refused for 1",
                fix=f"setpci -s {port} ECAP_ACS+6.w=0:2c",
            )

    def test_peers_not_blocked(self):
        # Validation and forwarding; what concerns the other side; asleep.
        for board, gpu in ((0x13, 0x13), (0x08, 0x24), (0xFFFF, 0xFFFF)):
            self.machine.switch(board, gpu)
            self.expect(
                self.look()["pci-peers"], "ok", found="no port redirects"
            )

    def test_peers_iommu(self):
        self.machine.switch(0x1D)
        self.machine.iommu("DMA-FQ", pci="0000:3f:00.0")
        self.expect(
            self.look()["pci-peers"], "ok", found="behind an IOMMU"
        )

    def test_peers_passthrough(self):
        self.machine.switch(0x1D)
        self.machine.iommu("identity", pci="0000:3f:00.0")
        self.expect(
            self.look()["pci-peers"], "note", found="redirects requests (ACS)",
            impact="through the host bridge", fix="setpci -s 0000:3d:01.0",
        )

    def test_narrow_link(self):
        at = self.machine.sysfs()
        self.machine.write(at + "current_link_width", "8")
        found = self.look()
        self.only(found, "pci-link")
        self.expect(
            found["pci-link"], "warn",
            found="32 GT/s x8 (31.5 GB/s), the GPU can do 32 GT/s x16",
            impact="50% of 63 GB/s", fix="16 lanes",
        )

    def test_idle_link(self):
        at = self.machine.sysfs()
        self.machine.write(at + "current_link_speed", "2.5 GT/s PCIe")
        found = self.look()
        self.only(found)
        self.expect(
            found["pci-link"], "note", found="2.5 GT/s x16 (4 GB/s)",
            impact="idle", fix="at work",
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
            found["pci-link"], "warn", impact="50% of 63 GB/s: the slot",
            fix="slot of 32 GT/s x16",
        )

    def test_link_unknown(self):
        at = self.machine.sysfs()
        for text in ("Unknown", "", "Unknown speed"):
            self.machine.write(at + "current_link_speed", text)
            self.expect(self.look()["pci-link"], "note", found="cannot be seen")
        self.machine.write(at + "current_link_speed", "32.0 GT/s PCIe")
        self.machine.write(at + "current_link_width", "255")
        self.expect(self.look()["pci-link"], "note", found="cannot be seen")

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
            found["numa"], "warn", found="the GPU is on node 7",
            impact="sockets", fix="numactl --cpunodebind=7 --membind=7",
        )
        self.machine.write(at + "numa_node", "-1")
        self.expect(self.look()["numa"], "note", found="unknown")


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
            found="0.0625 MiB", fix="limits.d",
        )

    def test_open_files(self):
        change = self.limit(resource.RLIMIT_NOFILE, 128)
        found = self.look(preexec_fn=change)
        self.only(found, "open-files")
        self.expect(
            found["open-files"], "warn", found="128", fix="ulimit -n"
        )
        change = self.limit(resource.RLIMIT_NOFILE, 1024)
        self.expect(self.look(preexec_fn=change)["open-files"], "note")


if __name__ == "__main__":
    unittest.main()
