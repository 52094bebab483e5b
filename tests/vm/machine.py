# SPDX-License-Identifier: MIT
"""One boot of the test VM: QEMU, the protocol with its init, and time limits.

Limits are counted in the time that the VM could run, not in time on the clock: a
host that is busy with other things makes a case slow, not wrong. The kernel counts
for every thread how long it waited for a CPU; what the VM's threads waited does
not count. A limit is of one case or one boot, never of a whole run.
"""
import fcntl
import glob
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time


BOOT_LIMIT = 120  # seconds until the first case
CASE_LIMIT = 240  # seconds a case may run; "# timeout: SECONDS" in it says more
HANG_LIMIT = 60   # seconds a VM may take to end a case that is over its time


class VmClock:
    """Seconds that a process could have run since the start."""

    def __init__(self, pid):
        self.pid = pid
        self.start = time.monotonic()
        self.waited = 0

    def now(self):
        """Time on the clock less what the process's threads waited for a CPU."""
        for path in glob.glob('/proc/%d/task/*/schedstat' % self.pid):
            try:
                with open(path) as f:
                    self.waited = max(self.waited, int(f.read().split()[1]) / 1e9)
            except (OSError, IndexError, ValueError):
                pass  # the thread has ended, or this kernel does not count
        return time.monotonic() - self.start - self.waited


def case_own_limit(path):
    """The seconds that a case says it may run, or None."""
    with open(path) as f:
        m = re.search(r'^# timeout: (\d+)$', f.read(), re.M)
    return int(m.group(1)) if m else None


def case_limit(path, debug):
    """How long a case may run, in seconds."""
    # The debug kernel is several times slower.
    return (case_own_limit(path) or CASE_LIMIT) * (3 if debug else 1)


def accel_pick(choice, mark):
    """KVM only if a guest gets through its firmware with it in three seconds."""
    if choice != 'auto':
        return choice
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return 'tcg'
    if os.path.exists(mark):
        return open(mark).read()
    # The guest is a boot sector that writes to QEMU's exit port.
    img = mark + '.img'
    with open(img, 'wb') as f:
        code = bytes([0xba, 0x01, 0x05, 0xb0, 0x31, 0xee, 0xf4])  # outb 0x31, 0x501
        f.write(code.ljust(510, b'\0') + b'\x55\xaa')
    try:
        p = subprocess.run(['qemu-system-x86_64', '-accel', 'kvm', '-display',
                            'none', '-drive', 'format=raw,file=' + img, '-device',
                            'isa-debug-exit,iobase=0x501', '-no-reboot'],
                           timeout=3, capture_output=True)
        found = 'kvm' if p.returncode == 0x63 else 'tcg'
    except subprocess.TimeoutExpired:
        found = 'tcg'
    with open(mark, 'w') as f:
        f.write(found)
    return found


def slot_take(folder):
    """One of as many places as there are cores: more VMs than that only wait for
    each other. Held until the file is closed."""
    os.makedirs(folder, exist_ok=True)
    while True:
        for n in range(os.cpu_count() or 1):
            f = open(os.path.join(folder, str(n)), 'a')
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return f
            except BlockingIOError:
                f.close()
        time.sleep(1)


class Machine:
    """A VM that runs cases and counts how they ended."""

    def __init__(self, name, cases, args, report, work, slots):
        self.name = name  # kernel and kind, for the lines that are printed
        self.cases = cases  # their folder
        self.args = args
        self.report = report
        self.work = work
        self.slots = slots
        self.debug = name.startswith('debug')
        self.vram = os.path.join(work, 'vram')
        self.console = os.path.join(work, 'console.log')
        self.qemu = None
        self.passed = self.failed = self.skipped = 0
        self.booted = False
        self.up = False  # its first program runs
        self.boots = 0
        self.case = None  # the case that runs, since when, and its limit
        self.since = 0
        self.limit = BOOT_LIMIT * (3 if self.debug else 1)
        self.late = None  # why QEMU was stopped
        self.mark = os.path.join(os.path.dirname(work), 'kvm-probe')
        self.kvm = False  # KVM runs it
        self.talk = []  # QEMU's options for the serial port to the host

    def command(self, kernel, image, sock, kind):
        """QEMU's command line."""
        append = 'quiet panic=-1 oops=panic loglevel=4 ' + self.args.append
        cmd = (self.command_arm64 if self.args.arch == 'arm64' else self.command_x86)(kind)
        cmd[-1] += ' ' + append
        cmd += ['-kernel', os.path.join(kernel, 'vmlinuz'), '-initrd', image,
                '-display', 'none', '-no-reboot', '-serial', 'file:' + self.console,
                '-chardev', 'socket,id=talk,path=' + sock, *self.talk,
                # The emulated GPU's video memory, and PCI devices with a DMA engine.
                '-object', 'memory-backend-file,id=vram,share=on,mem-path=%s,size=%dM' %
                (self.vram, self.args.vram)]
        gpu, board = 'ivshmem-plain,memdev=vram', 'edu,dma_mask=0xffffffffffffffff'
        if 'switch' in kind:
            # The GPU and the second board are below a switch, the first one is not.
            return cmd + ['-device', 'pcie-root-port,id=root,chassis=1',
                          '-device', 'x3130-upstream,id=up,bus=root',
                          '-device', 'xio3130-downstream,id=down0,bus=up,chassis=2,slot=0',
                          '-device', 'xio3130-downstream,id=down1,bus=up,chassis=2,slot=1',
                          '-device', gpu + ',bus=down0', '-device', board,
                          '-device', board + ',bus=down1']
        return cmd + ['-device', gpu] + (16 if 'bulk' in kind else 2) * ['-device', board]

    def command_arm64(self, kind):
        """Of a machine that has pages of each size; ends with the kernel's options."""
        iommu = 'iommu' in kind
        cmd = [self.args.qemu, '-M', 'virt,gic-version=3' + (',iommu=smmuv3' if iommu else ''),
               '-cpu', 'neoverse-n1', '-nic', 'none', '-m', str(self.args.memory or 1024),
               '-accel', 'tcg']
        if 'bulk' in kind:
            cmd += ['-icount', 'shift=0,sleep=off', '-smp', '1']
        else:
            cmd += ['-smp', '2']
        self.talk = ['-device', 'pci-serial,chardev=talk']
        return cmd + ['-append', 'console=ttyAMA0' + (' iommu.strict=1' if iommu else '')]

    def command_x86(self, kind):
        """The same of a PC."""
        append = 'console=ttyS0'
        # An interrupt while the kernel finds out about 5-level paging makes KASAN err.
        cmd = ['qemu-system-x86_64', '-M', 'q35', '-cpu', 'max,la57=off' if self.debug else 'max',
               '-m', str(self.args.memory or (1536 if self.debug else 1024))]
        if 'bulk' in kind:
            # Each of the boards' transfers takes 0.1 s of the guest's time.
            cmd += ['-accel', 'tcg', '-icount', 'shift=0,sleep=off', '-smp', '1']
        else:
            accel = accel_pick(self.args.accel, self.mark)
            self.kvm = accel == 'kvm'
            cmd += ['-accel', accel, '-smp', '2']
        if 'iommu' in kind:
            append += ' intel_iommu=on iommu=strict'
            cmd += ['-device', 'intel-iommu,intremap=off']
        self.talk = ['-serial', 'chardev:talk']
        return cmd + ['-append', append]

    def run(self, kernel, image, names, kind):
        """Boots, runs the cases and prints a line for each."""
        self.report.progress(self.name, 'waits for a free core')
        slot = slot_take(self.slots)
        folder = tempfile.mkdtemp(prefix='gpumem-vm-')
        start = time.monotonic()
        self.todo, self.notes, self.ended = list(names), [], False
        self.total = len(names)
        try:
            with open(self.vram, 'wb') as f:
                f.truncate(self.args.vram << 20)
            sock = os.path.join(folder, 's')
            srv = socket.socket(socket.AF_UNIX)
            srv.bind(sock)
            srv.listen(1)
            with open(os.path.join(self.work, 'qemu.log'), 'w') as errlog:
                # A session of its own: Ctrl-C is vm.py's to handle.
                self.qemu = subprocess.Popen(self.command(kernel, image, sock, kind),
                                             stdin=subprocess.DEVNULL, stdout=errlog,
                                             stderr=errlog, start_new_session=True)
            self.clock = VmClock(self.qemu.pid)
            self.boots += 1
            self.report.progress(self.name, 'boots')
            watch = threading.Thread(target=self._watch, args=(srv,), daemon=True)
            watch.start()
            try:
                conn, _ = srv.accept()
                for raw in conn.makefile('rb', buffering=0):
                    self._line(conn, raw.decode(errors='replace').rstrip('\r\n'))
            except OSError:
                pass  # QEMU ended before it spoke: told below
            self.qemu.wait()
            watch.join()
            srv.close()
        finally:
            if self.qemu:
                self.qemu.kill()
                self.qemu.wait()
            slot.close()
            shutil.rmtree(folder)
            if os.path.exists(self.vram):
                os.unlink(self.vram)
            self.report.progress(self.name, '')
        if self.kvm_failed():
            self._without_kvm(kernel, image, kind)
        elif not self.up and self.boots == 1:
            # Nothing of ours was loaded yet.
            self.report.lines('# vm/%s: the kernel did not get to its first program: '
                              'booted again' % self.name)
            self._anew(kernel, image, kind)
        elif self.todo or not self.ended:
            self._failed()
        if not self.args.show:
            self.report.lines('# vm/%s: %d s' % (self.name, time.monotonic() - start))

    def kvm_failed(self):
        """Whether KVM, which nobody asked for, is what ended the VM: some hosts' boots
        hang, or stop at an instruction that they do not emulate."""
        if not self.kvm or self.args.accel != 'auto' or (self.ended and not self.todo):
            return False
        with open(os.path.join(self.work, 'qemu.log'), errors='replace') as f:
            return not self.booted or 'KVM internal error' in f.read()

    def _without_kvm(self, kernel, image, kind):
        """Runs what is left by emulation, here and in the VMs to come."""
        self.report.lines('# vm/%s: KVM does not work here: on without it' % self.name)
        with open(self.mark, 'w') as f:
            f.write('tcg')
        self._anew(kernel, image, kind)

    def _anew(self, kernel, image, kind):
        """Runs what is left from another boot on."""
        self.case = self.late = None
        self.since, self.limit = 0, BOOT_LIMIT * (3 if self.debug else 1)
        self.run(kernel, image, self.todo, kind)

    def stop(self):
        """Ends the VM at once."""
        if self.qemu:
            self.qemu.kill()

    def over(self):
        """Whether the case is over its time. The guest asks, and ends it."""
        return self.clock.now() - self.since > self.limit

    def _watch(self, srv):
        """Stops a VM that makes no progress any more."""
        while self.qemu.poll() is None:
            time.sleep(1)
            spent = self.clock.now() - self.since
            if self.case is None and spent > self.limit:
                self.late = 'it did not reach its first case in %d s of its time' % self.limit
            elif self.case and spent > self.limit + HANG_LIMIT:
                self.late = 'it hangs in %s: no end of it %d s after its time, %d s' % (
                    self.case, HANG_LIMIT, self.limit)
            if self.late:
                self.qemu.kill()
                break
        self.qemu.wait()
        # Wakes an accept() that waits for a QEMU that is gone.
        try:
            srv.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _line(self, conn, line):
        """A line from the guest."""
        words = line.split()
        if not words:
            return
        if words[0] == 'note':
            # A case may print anything; a terminal may act on it.
            self.notes.append(''.join(c if c.isprintable() else '\\x%02x' % ord(c)
                                      for c in line[5:].expandtabs()))
            if self.args.verbose or self.args.show:
                self.report.lines(('' if self.args.show else '    ') + self.notes[-1])
        elif words[0] == 'up':
            self.up = True
        elif words[0] == 'host':
            conn.sendall((self._answer(words[1:]) + '\n').encode())
        elif words[0] == 'case' and len(words) == 2 and words[1] in self.todo:
            self.booted = True
            self.case, self.notes = words[1], []
            self.limit = self.args.case_timeout or case_limit(
                os.path.join(self.cases, words[1] + '.sh'), self.debug)
            self.since = self.clock.now()
            self.report.progress(self.name, '%d of %d cases, %s' % (
                self.total - len(self.todo), self.total, words[1]))
        elif words[0] == 'result' and len(words) >= 4 and words[1] in self.todo:
            self._result(words[1], words[2], words[3])
        elif words[0] == 'end':
            self.ended = True

    def _result(self, name, code, seconds):
        self.todo.remove(name)
        self.case, self.since = None, self.clock.now()
        self.limit = BOOT_LIMIT
        word = {'0': 'ok', '77': 'skip'}.get(code, 'not ok')
        self.passed += word == 'ok'
        self.skipped += word == 'skip'
        self.failed += word == 'not ok'
        why = ': ' + self.notes[-1] if word == 'skip' and self.notes else ''
        if self.args.show and word == 'ok':
            return
        lines = ['%-6s vm/%s/%s (%s s)%s' % (word, self.name, name, seconds, why)]
        if word == 'not ok':
            lines += ['       ' + n for n in self.notes[-40:]]
        self.report.lines(*lines)

    def _answer(self, words):
        """Answers the guest: yes, or no and the reason."""
        try:
            if words[0] == 'late':
                return 'yes' if self.over() else 'no'
            if words[0] == 'counter':
                return self._counter(*(int(w, 0) for w in words[1:]))
        except (IndexError, TypeError, ValueError) as e:
            return 'no ' + str(e)
        return 'no such command'

    def _counter(self, offset, words, first):
        """Whether the video memory has the words FIRST, FIRST+1, ... at OFFSET."""
        with open(self.vram, 'rb') as f:
            f.seek(offset)
            data = f.read(words * 4)
        got = struct.unpack('<%dI' % (len(data) // 4), data)
        for i in range(words):
            want = (first + i) & 0xffffffff
            if i >= len(got) or got[i] != want:
                return 'no word %d at %#x is %#x, expected %#x' % (
                    i, offset + 4 * i, got[i] if i < len(got) else -1, want)
        return 'yes'

    def _failed(self):
        """The VM ended before its cases did: says how, and shows its logs."""
        self.failed += max(1, len(self.todo))
        why = self.late and 'timed out: ' + self.late or 'it ended early'
        lines = ['not ok vm/%s: %s; not run to their end: %s' % (
            self.name, why, ' '.join(self.todo) or 'its shutdown')]
        lines += ['       ' + n for n in self.notes[-20:]]
        for log, size in (('qemu.log', 2000), ('console.log', 6000)):
            path = os.path.join(self.work, log)
            text = open(path, errors='replace').read() if os.path.exists(path) else ''
            lines += ['       %s: %s' % (log, l) for l in text[-size:].splitlines()]
        self.report.lines(*lines)
