#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests of tests/vm/cases in a QEMU virtual machine.

The machine boots a Debian kernel with a busybox initramfs. It has an emulated
GPU: QEMU's ivshmem-plain, whose BAR2 is video memory that host and guest both
see, driven by tests/emu. One case is one shell script in tests/vm/cases; it
passes when it exits with 0, is skipped when it exits with 77, and fails
otherwise, and also when the kernel logged a warning or anything is still
pinned or allocated after it. Cases named iommu-* run in a machine of their own,
with an IOMMU before the devices; bulk-* and iommu-bulk-* in one whose clock runs
ahead while it has nothing to do, so that waiting costs no time; show-* only when
asked for. A case may run for 240 seconds, or what its line "# timeout: SECONDS"
says.

--append NAME=VALUE sets a variable for the cases: the kernel hands what it does
not know to init.

The guest talks to the host over a second serial port, a line at a time:
    case NAME / result NAME CODE SECONDS / note TEXT / end
    host COMMAND ARGUMENTS...      answered by "yes", or "no REASON"
Host commands look at the video memory file from outside:
    counter OFFSET WORDS FIRST     32-bit words FIRST, FIRST+1, ... at OFFSET
"""
import argparse
import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CASES = os.path.join(HERE, 'cases')
TOOLS = ['setpriv', 'timeout']  # of the host, beside busybox
GATE = 'zy-debug'  # looks at the debug kernel's findings at the end of a run


def run(cmd, **kw):
    """Runs a command; on failure shows what it printed and stops."""
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, **kw)
    if p.returncode:
        sys.stderr.write(p.stdout)
        sys.exit('vm: failed: ' + ' '.join(map(str, cmd)))
    return p.stdout


# Modules of the test machine, in the order in which they build; those after the
# first two are for single cases, which load them.
MODULES = [('gpumem_emu', 'tests/emu'), ('gpumem', 'kernel/gpumem'),
           ('fpga_dma', 'examples/fpga-dma/driver'),
           ('importer', 'tests/vm/importer')]


def module_build(kernel, work):
    """Builds the modules for a kernel in a copy of their folders."""
    kdir = os.path.join(kernel, 'build')
    src = os.path.join(work, 'src')
    built = {}
    sync_tree(os.path.join(ROOT, 'uapi'), os.path.join(src, 'uapi'))
    symbols = []
    for name, rel in MODULES:
        if not os.path.isdir(os.path.join(ROOT, rel)):
            continue
        dst = os.path.join(src, rel)
        sync_tree(os.path.join(ROOT, rel), dst)
        out = run(['make', '-C', kdir, 'M=' + dst, 'modules', '-j2', 'W=1',
                   'NV_P2P_DIR=' + os.path.join(src, 'tests/emu'),
                   'KBUILD_EXTRA_SYMBOLS=' + ' '.join(symbols)])
        warnings = [l for l in out.splitlines()
                    if re.search(r'warning:|WARNING:', l)]
        if warnings:
            sys.exit('vm: %s does not build without warnings:\n%s' %
                     (name, '\n'.join(warnings)))
        symbols.append(os.path.join(dst, 'Module.symvers'))
        built[name] = os.path.join(dst, name + '.ko')
    return built


def sync_tree(src, dst):
    """Copies changed files only, so that Kbuild rebuilds what it must."""
    for base, dirs, files in os.walk(src):
        out = os.path.join(dst, os.path.relpath(base, src))
        os.makedirs(out, exist_ok=True)
        for f in files:
            a, b = os.path.join(base, f), os.path.join(out, f)
            if f.endswith(('.o', '.ko', '.mod', '.mod.c', '.cmd', '.symvers')):
                continue
            if not os.path.exists(b) or open(a, 'rb').read() != open(b, 'rb').read():
                shutil.copy2(a, b)
                os.utime(b)


def libraries(path):
    """The shared libraries that a program needs, by path."""
    out = subprocess.run(['ldd', path], capture_output=True, text=True).stdout
    return re.findall(r'(/\S+)', out)


def install(root, src, dst):
    """Copies a program and its libraries into the initramfs."""
    to = os.path.join(root, dst.lstrip('/'))
    os.makedirs(os.path.dirname(to), exist_ok=True)
    shutil.copy2(os.path.realpath(src), to)
    for lib in libraries(src):
        if lib.startswith(os.path.realpath(ARGS.build)) or 'libgpumem' in lib:
            continue
        at = root + lib
        if not os.path.exists(at):
            os.makedirs(os.path.dirname(at), exist_ok=True)
            shutil.copy2(os.path.realpath(lib), at)


def initramfs_make(kernel, work, modules, names):
    root = tempfile.mkdtemp(dir=work)
    os.chmod(root, 0o755)  # for the ordinary user
    for d in ('bin', 'sbin', 'proc', 'sys', 'dev', 'tmp', 'etc', 'lib/modules',
              'usr/bin', 'cases', 'root'):
        os.makedirs(os.path.join(root, d))
    shutil.copy2('/bin/busybox', os.path.join(root, 'bin/busybox'))
    for tool in TOOLS:
        install(root, shutil.which(tool), 'usr/bin/' + tool)
    for path in modules.values():
        shutil.copy2(path, os.path.join(root, 'lib/modules'))
    b = ARGS.build
    libdir = 'usr/lib/x86_64-linux-gnu'
    for src, dst in (('lib/libgpumem.so.0', libdir + '/libgpumem.so.0'),
                     ('compat/gdrapi/libgdrapi.so.2', libdir + '/libgdrapi.so.2'),
                     ('sim/libcuda.so.1', libdir + '/libcuda.so.1'),
                     ('sim/libcuda.so.1', libdir + '/gpumem/sim/libcuda.so.1'),
                     ('tools/gpumem', 'usr/bin/gpumem'),
                     ('examples/fpga-dma/fpga-dma', 'usr/bin/fpga-dma')):
        if os.path.exists(os.path.join(b, src)):
            install(root, os.path.join(b, src), dst)
    for progs in (os.path.join(b, 'tests/vm'), os.path.join(b, 'tests/fuzz')):
        for f in sorted(os.listdir(progs)) if os.path.isdir(progs) else []:
            p = os.path.join(progs, f)
            if os.path.isfile(p) and os.access(p, os.X_OK):
                install(root, p, 'usr/bin/' + f)
    shutil.copytree(os.path.join(ROOT, 'tests/data'), os.path.join(root, 'data'))
    shutil.copy2(os.path.join(HERE, 'init'), os.path.join(root, 'init'))
    shutil.copy2(os.path.join(HERE, 'lib.sh'), os.path.join(root, 'cases/lib.sh'))
    # All of them: a case behind the IOMMU is most often another one, there.
    for n in sorted(os.listdir(CASES)):
        shutil.copy2(os.path.join(CASES, n), os.path.join(root, 'cases', n))
    with open(os.path.join(root, 'cases/list'), 'w') as f:
        f.write(''.join(n + '\n' for n in names))
    with open(os.path.join(root, 'etc/passwd'), 'w') as f:
        f.write('root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n')
    with open(os.path.join(root, 'etc/group'), 'w') as f:
        f.write('root:x:0:\nuser:x:1000:\n')
    img = os.path.join(work, 'initramfs.cpio')
    with open(img, 'wb') as f:
        find = subprocess.Popen(['find', '.', '-print0'], cwd=root,
                                stdout=subprocess.PIPE)
        subprocess.run(['cpio', '-0', '-o', '-H', 'newc', '--quiet', '-R', '0:0'],
                       cwd=root, stdin=find.stdout, stdout=f, check=True)
    shutil.rmtree(root)
    return img


def accel_pick():
    """KVM only if a guest gets through its firmware with it in three seconds."""
    if ARGS.accel != 'auto':
        return ARGS.accel
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return 'tcg'
    mark = os.path.join(ARGS.build, 'vm', 'kvm-probe')
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


def slot_take():
    """One of as many places as there are cores: a machine that shares its core
    with others runs into its time limits. Held until the file is closed."""
    while True:
        for n in range(os.cpu_count() or 1):
            f = open(os.path.join(tempfile.gettempdir(), 'gpumem-vm-%d-%d' % (os.getuid(), n)), 'a')
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return f
            except BlockingIOError:
                f.close()
        time.sleep(1)


class Host:
    """Answers the guest's questions about the video memory file."""

    def __init__(self, vram):
        self.vram = vram

    def counter(self, offset, words, first):
        offset, words, first = int(offset, 0), int(words, 0), int(first, 0)
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

    def ask(self, words):
        if words and words[0] in ('counter',):
            try:
                return getattr(self, words[0])(*words[1:])
            except (TypeError, ValueError) as e:
                return 'no ' + str(e)
        return 'no such command'


def machine_run(name, kernel, work, image, names, iommu, bulk):
    """Boots the machine, prints a line a case, returns (passed, failed, skipped)."""
    vram = os.path.join(work, 'vram')
    with open(vram, 'wb') as f:
        f.truncate(ARGS.vram << 20)
    sock = os.path.join(tempfile.mkdtemp(prefix='gpumem-vm-'), 's')
    srv = socket.socket(socket.AF_UNIX)
    srv.bind(sock)
    srv.listen(1)
    console = os.path.join(work, 'console.log')
    append = 'console=ttyS0 quiet panic=-1 oops=panic loglevel=4 ' + ARGS.append
    # An interrupt while the kernel finds out about 5-level paging makes KASAN err.
    debug = name.startswith('debug')
    cmd = ['qemu-system-x86_64', '-M', 'q35', '-cpu', 'max,la57=off' if debug else 'max',
           '-m', str(ARGS.memory or (1536 if debug else 1024)),
           '-display', 'none', '-no-reboot']
    if bulk:
        # Each of the boards' transfers takes 0.1 s of the guest's time.
        cmd += ['-accel', 'tcg', '-icount', 'shift=0,sleep=off', '-smp', '1']
    else:
        cmd += ['-accel', accel_pick(), '-smp', '2']
    if iommu:
        append += ' intel_iommu=on iommu=strict'
        cmd += ['-device', 'intel-iommu,intremap=off']
    cmd += ['-kernel', os.path.join(kernel, 'vmlinuz'), '-initrd', image,
            '-append', append, '-serial', 'file:' + console,
            '-chardev', 'socket,id=talk,path=' + sock, '-serial', 'chardev:talk',
            # The emulated GPU's video memory, and PCI devices with a DMA engine.
            '-object', 'memory-backend-file,id=vram,share=on,mem-path=%s,size=%dM' %
            (vram, ARGS.vram), '-device', 'ivshmem-plain,memdev=vram',
            ] + (16 if bulk else 2) * ['-device', 'edu,dma_mask=0xffffffffffffffff']
    slot = slot_take()
    start = time.time()
    errlog = open(os.path.join(work, 'qemu.log'), 'w')
    qemu = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=errlog, stderr=errlog)
    # The debug kernel is several times slower.
    limit = ARGS.timeout or (3600 if name.startswith('debug') else 600)
    timer = threading.Timer(limit, qemu.kill)
    timer.start()
    passed = failed = skipped = 0
    todo, notes, ended = list(names), [], False
    host = Host(vram)
    try:
        srv.settimeout(60)
        conn, _ = srv.accept()
        stream = conn.makefile('rwb', buffering=0)
        for raw in stream:
            line = raw.decode(errors='replace').rstrip('\r\n')
            words = line.split()
            if not words:
                continue
            if words[0] == 'note':
                notes.append(line[5:])
                if ARGS.verbose or ARGS.show:
                    print(('' if ARGS.show else '    ') + notes[-1], flush=True)
            elif words[0] == 'host':
                conn.sendall((host.ask(words[1:]) + '\n').encode())
            elif words[0] == 'case':
                notes = []
            elif words[0] == 'result' and len(words) >= 4 and words[1] in todo:
                todo.remove(words[1])
                word = {'0': 'ok', '77': 'skip'}.get(words[2], 'not ok')
                passed += word == 'ok'
                skipped += word == 'skip'
                failed += word == 'not ok'
                why = ''
                if word == 'skip' and notes:
                    why = ': ' + notes[-1]
                if not ARGS.show or failed:
                    print('%-6s vm/%s/%s (%s s)%s' %
                          (word, name, words[1], words[3], why), flush=True)
                if word == 'not ok':
                    for n in notes[-40:]:
                        print('       ' + n)
            elif words[0] == 'end':
                ended = True
    except socket.timeout:
        print('       the machine did not reach user space')
    finally:
        qemu.wait()
        slot.close()
        timer.cancel()
        shutil.rmtree(os.path.dirname(sock))
    if todo or not ended:
        failed += max(1, len(todo))
        print('not ok vm/%s: the machine stopped before: %s' %
              (name, ' '.join(todo) or 'its end'))
        for n in notes[-20:]:
            print('       ' + n)
        print(open(os.path.join(work, 'qemu.log')).read()[-2000:])
        print(open(console, errors='replace').read()[-6000:])
    os.unlink(vram)
    if not ARGS.show:
        print('# vm/%s: %d s' % (name, time.time() - start), flush=True)
    return passed, failed, skipped


def machine_kind(name):
    """The kind of machine that a case runs in: what its name begins with."""
    return re.match('(iommu-)?(bulk-)?', name).group(0)


def main():
    global ARGS
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--kernel', action='append', help='6.1 or 6.12; default both')
    p.add_argument('--test', action='append', help='run this case alone')
    p.add_argument('--list', action='store_true', help='list the cases')
    p.add_argument('--build', default=os.path.join(ROOT, 'build'),
                   help='the Meson build folder')
    p.add_argument('--accel', default='auto', choices=['auto', 'tcg', 'kvm'])
    p.add_argument('--append', default='', help='more kernel command line')
    p.add_argument('--vram', type=int, default=1024, help='video memory, MiB')
    p.add_argument('--memory', type=int, help='RAM, MiB')
    p.add_argument('--timeout', type=int, help='seconds a machine may run')
    p.add_argument('--work', default='',
                   help='a name, to run several machines of a kernel at once')
    p.add_argument('--verbose', action='store_true')
    p.add_argument('--show', action='store_true',
                   help='print what the case prints and nothing else')
    p.add_argument('--modules-only', action='store_true',
                   help='build the modules and stop')
    ARGS = p.parse_args()
    ARGS.build = os.path.abspath(ARGS.build)
    known = sorted(f[:-3] for f in os.listdir(CASES) if f.endswith('.sh'))
    if ARGS.list:
        print('\n'.join(known))
        return 0
    # Cases that show something to a person, not part of the tests.
    names = ARGS.test or [n for n in known if not n.startswith('show-')]
    for n in names:
        if n not in known:
            sys.exit('vm: no case %s; there are: %s' % (n, ' '.join(known)))
    total = [0, 0, 0]
    for k in ARGS.kernel or ['6.1', '6.12']:
        kernel = subprocess.run([os.path.join(HERE, 'kernel-fetch.sh'), k], check=True,
                                stdout=subprocess.PIPE, text=True).stdout.strip()
        work = os.path.join(ARGS.build, 'vm', k + ARGS.work)
        os.makedirs(work, exist_ok=True)
        modules = module_build(kernel, work)
        if ARGS.modules_only:
            print('\n'.join(modules.values()))
            continue
        for kind in ('', 'iommu-', 'bulk-', 'iommu-bulk-'):
            group = [n for n in names if kind == machine_kind(n)]
            if not group:
                continue
            if k == 'debug' and GATE not in group:
                group = group + [GATE]
            image = initramfs_make(kernel, work, modules, group)
            got = machine_run((k + '-' + kind).rstrip('-'), kernel, work, image,
                              group, 'iommu' in kind, 'bulk' in kind)
            total = [a + b for a, b in zip(total, got)]
    if not ARGS.modules_only and not ARGS.show:
        print('%d passed, %d failed, %d skipped' % tuple(total))
    return 1 if total[1] else 0


if __name__ == '__main__':
    sys.exit(main())
