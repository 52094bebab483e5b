#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests of tests/vm/cases in QEMU virtual machines.

A VM boots a Debian kernel with a busybox initramfs. It has an emulated GPU:
QEMU's ivshmem-plain, whose BAR2 is video memory that host and guest both see,
driven by tests/emu. One case is one shell script in tests/vm/cases; it passes when
it exits with 0, is skipped when it exits with 77, and fails otherwise, and also
when the kernel logged a warning or anything is still pinned or allocated after it.
Cases named iommu-* run in a VM of their own, with an IOMMU before the devices;
bulk-* and iommu-bulk-* in one whose clock runs ahead while it has nothing to do, so
that waiting costs no time; switch-* and iommu-switch-* in one whose GPU and second
board are below a PCI Express switch; show-* only when asked for. A case may run for 240
seconds, or what its line "# timeout: SECONDS" says; machine.py says what a second
is on a busy host.

With --driver the VM has NVIDIA's open driver instead of tests/emu, and a PCI
device with a GPU's identity (tests/driver/fakegpu.c), which cannot be initialised.
The cases are those of tests/driver/cases. With --hybrid as well tests/emu is in the
place of that driver's resource manager, and gives out the memory that the GPU's BAR1
shows: the cases are those of the VM with the emulated GPU, but for those of
tests/driver/hybrid-left-out.txt, which are skipped with the reason that is there.

With --arch arm64 the VM is an arm64 machine, with the kernels that Debian has for one
and one with pages of 64 KiB. Programs and modules are cross-built. The cases of
arm64-left-out.txt are skipped with the reason that is there. --few runs those of
few.txt alone.

The kernels are those of kernel-fetch.sh's list, at the same time. On one that it
calls optional the cases are left out, with the reason, where the modules do not
build.

--append NAME=VALUE sets a variable for the cases: the kernel hands what it does
not know to init.

A kernel that does not get to its first program is booted once more, and that is said.

The guest talks to the host over a second serial port, a line at a time:
    up / case NAME / result NAME CODE SECONDS / note TEXT / end
    host COMMAND ARGUMENTS...      answered by "yes", or "no REASON"
Host commands:
    counter OFFSET WORDS FIRST     are 32-bit words FIRST, FIRST+1, ... at OFFSET
                                   of the video memory, seen from outside?
    late                           is the case over its time?

Exit status: 0 all passed, 1 something failed, 2 wrong usage, 3 no VM came as far
as its first case, 130 interrupted.
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time

import image
from machine import Machine, case_own_limit
from report import Report

GATE = 'zy-debug'  # looks at the debug kernel's findings at the end of a run
KINDS = ('', 'iommu-', 'bulk-', 'iommu-bulk-', 'switch-', 'iommu-switch-')


def case_kind(name):
    """The kind of VM that a case runs in: what its name begins with."""
    return re.match('(?:show-)?((?:iommu-)?(?:bulk-|switch-)?)', name).group(1)


class Run:
    """The cases on one kernel, in the VMs that they need."""

    def __init__(self, kernel, suite, optional, names, left_out, args, report):
        self.kernel, self.optional, self.names = kernel, optional, names
        self.left_out = left_out  # reasons, by the names of cases
        self.suite = suite  # of NVIDIA's driver; None: the emulated GPU
        self.arch = image.ARCHS[args.arch]
        self.args, self.report = args, report
        self.name = '-'.join(n for n in (kernel, args.arch, suite) if n)
        self.passed = self.failed = self.skipped = 0
        self.booted = False
        self.folder = None  # of the kernel
        self.driver = None
        self.machine = None

    def fetch(self):
        """Fetches the kernel, and the driver."""
        try:
            self.folder = image.kernel_fetch(*self.arch.fetch, self.kernel)
            if self.suite:
                self.driver = image.Driver(self.suite, self.kernel, self.args.hybrid)
                self.name = self.kernel + '-' + self.driver.name
        except image.BuildError as e:
            self._left_out(e)

    def run(self):
        """Builds what the VMs need and runs them."""
        try:
            self._run()
        except image.BuildError as e:
            self._left_out(e)
        except Exception as e:  # whatever it is: the cases did not run
            self.failed += 1
            self.report.lines('not ok vm/%s: its cases cannot be run: %s: %s' %
                              (self.name, type(e).__name__, e))
        finally:
            self.report.progress(self.name, '')

    def _left_out(self, error):
        """There is no VM with this kernel: a failure, unless it is optional."""
        if not self.optional:
            self.failed += 1
            self.report.lines('not ok vm/%s: %s' % (self.name, error))
            return
        lines = str(error).splitlines()
        reasons = [l for l in lines if re.search('error:|warning:', l, re.I)] or lines
        self.skipped += 1
        self.report.lines('skip   vm/%s: gpumem does not build on it yet: %s' %
                          (self.kernel, reasons[0]))

    def _run(self):
        work = os.path.join(self.args.build, 'vm', self.name + self.args.work)
        os.makedirs(work, exist_ok=True)
        self.report.progress(self.name, 'builds its modules')
        if self.driver and self.driver.hybrid:
            modules = image.hybrid_modules_build(self.folder, work, self.driver)
        elif self.driver:
            modules = image.driver_modules_build(self.folder, work, self.driver)
        else:
            modules = image.modules_build(self.folder, work, options=self.arch.make)
        if self.args.modules_only:
            self.report.lines(*modules.values())
            return
        slots = os.path.join(self.args.cache, 'vm-slots')
        for name, reason in self.left_out.items():
            self.skipped += 1
            self.report.lines('skip   vm/%s/%s: %s' % (self.name, name, reason))
        for kind in KINDS:
            group = [n for n in self.names if kind == case_kind(n)]
            if not group:
                continue
            if self.kernel == 'debug' and GATE not in group:
                group = group + [GATE]
            modules.update({'lib/modules/' + os.path.basename(f): f
                            for f in self.args.file})
            self.report.progress(self.name, 'makes its initramfs')
            img = image.initramfs_make(self.args.build, work, modules, group, self.arch,
                                       self.driver)
            self.report.progress(self.name, '')
            self.machine = Machine((self.name + '-' + kind).rstrip('-'),
                                   image.cases_folder(self.driver), self.args,
                                   self.report, work, slots)
            self.machine.run(self.folder, img, group, kind)
            self.passed += self.machine.passed
            self.failed += self.machine.failed
            self.skipped += self.machine.skipped
            self.booted |= self.machine.booted


def kernels_pick(wanted, arch):
    """(name, optional) of the kernels to run on; stops where none is known."""
    if wanted:
        return [(k, False) for k in wanted]
    p = subprocess.run([os.path.join(image.HERE, 'kernel-fetch.sh'), *arch.fetch, 'list'],
                       stdout=subprocess.PIPE, text=True)
    if p.returncode:
        sys.exit(3)
    return [(k, how == 'optional') for k, how in
            (line.split() for line in p.stdout.splitlines())]


def arguments():
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--kernel', action='append',
                   help='6.1, 6.12, newest or debug; default: all of this release')
    p.add_argument('--driver', action='append', metavar='SUITE',
                   help='NVIDIA\'s driver of this Debian suite and a GPU that does '
                   'nothing, instead of the emulated GPU: cases of tests/driver')
    p.add_argument('--hybrid', action='store_true',
                   help='with --driver: the emulated GPU below NVIDIA\'s driver')
    p.add_argument('--arch', default='', choices=list(image.ARCHS),
                   help='arm64: an arm64 machine; kernels: 6.1, 6.12, 6.12-16k, 64k')
    p.add_argument('--test', action='append', help='run this case alone')
    p.add_argument('--few', action='store_true', help='a few cases, of each kind')
    p.add_argument('--short', action='store_true',
                   help='without the cases that have a time limit of their own')
    p.add_argument('--file', action='append', default=[], metavar='PATH',
                   help='a file to have in the VM\'s /lib/modules')
    p.add_argument('--list', action='store_true', help='list the cases')
    p.add_argument('--check', action='store_true', help='look at the options and stop')
    p.add_argument('--build', help='the Meson build folder')
    p.add_argument('--accel', default='auto', choices=['auto', 'tcg', 'kvm'])
    p.add_argument('--append', default='', help='more kernel command line')
    p.add_argument('--vram', type=int, help='video memory, MiB')
    p.add_argument('--memory', type=int, help='RAM, MiB')
    p.add_argument('--case-timeout', type=int, help='seconds a case may run')
    p.add_argument('--work', default='',
                   help='a name, to run several VMs of a kernel at once')
    p.add_argument('--verbose', action='store_true')
    p.add_argument('--show', action='store_true',
                   help='print what the case prints and nothing else')
    p.add_argument('--modules-only', action='store_true',
                   help='build the modules and stop')
    args = p.parse_args()
    if args.hybrid and not args.driver:
        p.error('--hybrid is with --driver')
    if args.arch and args.driver:
        p.error('--driver is for this machine\'s architecture')
    args.build = args.build or os.path.join(
        image.ROOT, 'build-check/arm64' if args.arch else 'build')
    # A hybrid has the GPU's other BARs there too.
    args.vram = args.vram or (2048 if args.hybrid else 1024)
    if args.hybrid:
        args.append += ' slab_nomerge'  # the driver's objects are counted
    args.build = os.path.abspath(args.build)
    args.cache = os.path.abspath(os.environ.get('GPUMEM_CACHE') or os.path.join(
        os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'gpumem'))
    return args


def main():
    """Runs the kernels side by side and counts."""
    args = arguments()
    folder = image.CASES if args.hybrid or not args.driver else image.DRIVER_CASES
    known = sorted(f[:-3] for f in os.listdir(folder) if f.endswith('.sh'))
    if args.list:
        print('\n'.join(known))
        return 0
    # Cases that show something to a person are not part of the tests.
    names = args.test or [
        n for n in known if not n.startswith('show-') and
        not (args.short and case_own_limit(os.path.join(folder, n + '.sh')))]
    for n in names:
        if n not in known:
            print('vm: no case %s; --list names them' % n, file=sys.stderr)
            return 2
    if args.few and not args.test:
        with open(os.path.join(image.HERE, 'few.txt')) as f:
            names = [l.strip() for l in f if not l.startswith('#')]
    left_out = {}
    if (args.hybrid or args.arch) and not args.test:
        left_out = image.left_out(known, args.arch)
        if args.few:
            left_out = {n: left_out[n] for n in names if n in left_out}
        names = [n for n in names if n not in left_out]
    kernels = 'newest|' + ('64k' if args.arch else 'debug')
    for k in args.kernel or []:
        if not re.fullmatch(kernels + r'|\d+\.\d+' + ('(-16k)?' if args.arch else ''), k):
            print('vm: %s is no kernel; there are 6.1, 6.12, %s' % (
                k, kernels.replace('|', ', ')), file=sys.stderr)
            return 2
    if args.check:
        return 0
    # As is_odd() of scripts/common.sh.
    if re.search(r"""[\s:'"#$&(),%`;<>|*?{}\\!^\[\]]""", args.build):
        print('vm: Kbuild cannot build in %s: a path with a space, a colon, a quote or '
              'the like' % args.build, file=sys.stderr)
        return 3
    if args.arch:
        try:
            image.ARCHS[args.arch].prepare(args)
        except image.BuildError as e:
            print('vm: there is no arm64 machine: %s' % e, file=sys.stderr)
            return 3
    report = Report()
    runs = [Run(k, suite, optional, names, left_out, args, report)
            for suite in args.driver or [None]
            for k, optional in kernels_pick(args.kernel, image.ARCHS[args.arch])]

    def interrupted(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    try:
        for r in runs:
            r.fetch()
        threads = [threading.Thread(target=r.run, daemon=True) for r in runs if r.folder]
        report.start()
        for t in threads:
            t.start()
        for t in threads:
            while t.is_alive():
                t.join(0.5)
    except KeyboardInterrupt:
        report.stop()
        for r in runs:
            if r.machine:
                r.machine.stop()
        # Their threads remove what they made, if they come to it in time.
        end = time.monotonic() + 10
        for t in threading.enumerate():
            if t is not threading.current_thread() and not t.name.startswith('ticker'):
                t.join(max(0, end - time.monotonic()))
        print('vm: interrupted', file=sys.stderr)
        return 130
    failed = sum(r.failed for r in runs)
    if not args.modules_only and not args.show:
        report.lines('%d passed, %d failed, %d skipped' % (
            sum(r.passed for r in runs), failed, sum(r.skipped for r in runs)))
    report.stop()
    if failed and not any(r.booted for r in runs):
        return 3
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
