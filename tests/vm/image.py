# SPDX-License-Identifier: MIT
"""What the test VM boots: the modules for its kernel and the initramfs."""
import os
import re
import shutil
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CASES = os.path.join(HERE, 'cases')
DRIVER = os.path.join(ROOT, 'tests/driver')
DRIVER_CASES = os.path.join(DRIVER, 'cases')
TOOLS = ['flock', 'setpriv']  # of the host, beside busybox

# Modules of the VM, in the order in which they build; those after the first two
# are for single cases, which load them.
MODULES = [('gpumem_emu', 'tests/emu'), ('gpumem', 'kernel/gpumem'),
           ('fpga_dma', 'examples/fpga-dma/driver'),
           ('importer', 'tests/vm/importer')]


class BuildError(Exception):
    """Something for the VM cannot be built; the text says what and shows why."""


def run(cmd, errors=subprocess.STDOUT):
    """Runs a command and returns what it printed."""
    p = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=errors, text=True)
    if p.returncode:
        raise BuildError('failed: %s\n%s' % (' '.join(map(str, cmd)), p.stdout[-6000:]))
    return p.stdout


class Arch:
    """A kind of machine that the VM can be."""

    def __init__(self, triplet):
        self.triplet = triplet
        # Options of kernel-fetch.sh, and of make beside this machine's kernels.
        self.fetch, self.make = (), ()
        self.root = ''  # what is not this machine's own

    def libraries(self, path):
        """The shared libraries that a program needs, by path."""
        out = subprocess.run(['ldd', path], capture_output=True, text=True).stdout
        return re.findall(r'(/\S+)', out)

    def find(self, tool):
        """A tool of this kind of machine."""
        return shutil.which(tool)

    def place(self, lib):
        """Where a shared library lies in the VM."""
        return lib


class ArchArm64(Arch):
    """Its programs and tools are in a folder of cross-arm64.sh's."""

    def __init__(self):
        super().__init__('aarch64-linux-gnu')
        self.fetch = ('--arch', 'arm64')
        self.make = ('ARCH=arm64', 'CROSS_COMPILE=aarch64-linux-gnu-')

    def prepare(self, args):
        """Finds what cross-arm64.sh has fetched, and QEMU."""
        self.root = run([os.path.join(ROOT, 'scripts/cross-arm64.sh'), args.build],
                        errors=None).strip()
        args.qemu = run([os.path.join(HERE, 'qemu-fetch.sh')], errors=None).strip()

    def libraries(self, path):
        folders = [os.path.join(self.root, d, self.triplet) for d in ('lib', 'usr/lib')]
        folders.append('/usr/%s/lib' % self.triplet)
        found, todo = {}, [path]
        while todo:
            out = run([self.triplet + '-objdump', '-p', todo.pop()])
            for name in re.findall(r'NEEDED\s+(\S+)', out):
                at = [os.path.join(d, name) for d in folders
                      if os.path.exists(os.path.join(d, name))]
                if at and name not in found:
                    found[name] = at[0]
                    todo.append(at[0])
        return list(found.values())

    def find(self, tool):
        return next(p for d in ('bin', 'usr/bin')
                    for p in [os.path.join(self.root, d, tool)] if os.path.exists(p))

    def place(self, lib):
        name = os.path.basename(lib)
        return '/lib/%s%s' % ('' if name.startswith('ld-linux') else self.triplet + '/', name)


ARCHS = {'': Arch('x86_64-linux-gnu'), 'arm64': ArchArm64()}


def kernel_fetch(*words):
    """What kernel-fetch.sh prints: a kernel's folder, fetched if need be."""
    p = subprocess.run([os.path.join(HERE, 'kernel-fetch.sh'), *words],
                       stdout=subprocess.PIPE, text=True)
    if p.returncode:
        raise BuildError('the kernel cannot be had (above: why)')
    return p.stdout.strip()


class Driver:
    """NVIDIA's open driver of a Debian suite, built for a kernel; a hybrid has tests/emu
    in the place of its resource manager."""

    def __init__(self, suite, kernel, hybrid=False):
        p = subprocess.run([os.path.join(ROOT, 'scripts/nvidia-driver.sh'), suite, kernel],
                           stdout=subprocess.PIPE, text=True)
        if p.returncode:
            raise BuildError('the driver cannot be had (above: why)')
        self.suite, self.kernel, self.hybrid = suite, kernel, hybrid
        self.folder = p.stdout.strip()
        self.release = kernel_release(kernel_fetch(kernel))
        with open(os.path.join(self.folder, 'version')) as f:
            self.version = f.read().split('-')[0]
        self.name = ('hybrid-' if hybrid else 'nvidia-') + self.version.split('.')[0]


def kernel_release(kernel):
    """The release of the kernel in a folder, as uname -r prints it."""
    with open(os.path.join(kernel, 'release')) as f:
        return f.read().strip()


def module_build(kernel, src, name, rel, p2p, symbols, options=()):
    """Builds one module in a copy of its folder and returns its path."""
    dst = os.path.join(src, rel)
    tree_sync(os.path.join(ROOT, rel), dst)
    # Kbuild does not see that the symbols of other modules have changed.
    made = os.path.join(dst, 'Module.symvers')
    if os.path.exists(made):
        os.unlink(made)
    out = run(['make', '-C', os.path.join(kernel, 'build'), 'M=' + dst, 'modules',
               '-j2', 'W=1', 'NV_P2P_DIR=' + p2p,
               'KBUILD_EXTRA_SYMBOLS=' + ' '.join(symbols), *options])
    warnings = [l for l in out.splitlines() if re.search(r'warning:|WARNING:', l)]
    if warnings:
        raise BuildError('%s does not build without warnings:\n%s' %
                         (name, '\n'.join(warnings)))
    return os.path.join(dst, name + '.ko')


def modules_build(kernel, work, p2p=None, symbols=(), options=()):
    """Builds the modules for a kernel: their paths, by their places in the VM. p2p is
    the folder of NVIDIA's nv-p2p.h, instead of the emulated GPU's."""
    src = os.path.join(work, 'src')
    built = {}
    tree_sync(os.path.join(ROOT, 'uapi'), os.path.join(src, 'uapi'))
    symbols = list(symbols)
    for name, rel in MODULES:
        path = module_build(kernel, src, name, rel,
                            p2p or os.path.join(src, 'tests/emu'), symbols, options)
        symbols.append(os.path.join(os.path.dirname(path), 'Module.symvers'))
        built['lib/modules/%s.ko' % name] = path
    return built


def driver_modules_build(kernel, work, driver):
    """The same for a VM with NVIDIA's driver. Its modules lie where modprobe looks
    for them. A second gpumem.ko is built against symbols of other versions."""
    place = 'lib/modules/%s/' % driver.release
    src = os.path.join(work, 'src')
    tree_sync(os.path.join(ROOT, 'uapi'), os.path.join(src, 'uapi'))
    symvers = os.path.join(driver.folder, 'Module.symvers')
    other = os.path.join(work, 'other.symvers')
    with open(symvers) as f, open(other, 'w') as out:
        for line in f:
            crc, rest = line.split('\t', 1)
            out.write('%#010x\t%s' % (int(crc, 0) ^ 1, rest))
    p2p = os.path.join(driver.folder, 'nvidia')
    foreign = os.path.join(work, 'foreign.ko')
    built = {place + 'fakegpu.ko': module_build(kernel, src, 'fakegpu', 'tests/driver',
                                                p2p, [])}
    # The same objects, linked again: the versions are added last.
    shutil.copy2(module_build(kernel, src, 'gpumem', 'kernel/gpumem', p2p, [other]),
                 foreign)
    built['lib/modules/foreign/gpumem.ko'] = foreign
    built[place + 'gpumem.ko'] = module_build(kernel, src, 'gpumem', 'kernel/gpumem', p2p,
                                              [symvers])
    built[place + 'nvidia.ko'] = os.path.join(driver.folder, 'nvidia.ko')
    built.update(kernel_modules(driver, place))
    return built


def hybrid_modules_build(kernel, work, driver):
    """The same for a VM with NVIDIA's driver above the emulated GPU: the modules of the
    VM with the emulated GPU alone, built against the driver, in their places."""
    place = 'lib/modules/%s/' % driver.release
    src = os.path.join(work, 'src')
    out = os.path.join(work, 'nvidia')
    p = subprocess.run([os.path.join(ROOT, 'scripts/nvidia-hybrid.sh'), driver.suite,
                        driver.kernel, out], stdout=subprocess.PIPE, text=True)
    if p.returncode:
        raise BuildError('the hybrid driver cannot be had (above: why)')
    p2p = os.path.join(p.stdout.strip(), 'nvidia')
    built = {place + 'fakegpu.ko': module_build(kernel, src, 'fakegpu', 'tests/driver',
                                                p2p, [])}
    built[place + 'nvidia.ko'] = os.path.join(out, 'nvidia.ko')
    built.update(modules_build(kernel, work, p2p, [os.path.join(out, 'Module.symvers')],
                               ['EMU_NVIDIA=y']))
    built.update(kernel_modules(driver, place))
    return built


def kernel_modules(driver, place):
    """The kernel's own modules that NVIDIA's driver needs."""
    return {place + os.path.basename(path): path
            for path in kernel_fetch(driver.kernel, 'modules').splitlines()}


def left_out(known, arch):
    """The cases that do not run on another kind of machine, or in a hybrid: the reason
    of each, by its name."""
    path = (os.path.join(HERE, arch + '-left-out.txt') if arch else
            os.path.join(DRIVER, 'hybrid-left-out.txt'))
    reasons = {}
    with open(path) as f:
        for line in f:
            if line.startswith('#') or not line.strip():
                continue
            name, reason = line.rstrip('\n').split(': ', 1)
            if name not in known:
                raise BuildError('%s: there is no case %s' % (path, name))
            reasons[name] = reason
    return reasons


def tree_sync(src, dst):
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


def install(root, src, dst, build, arch):
    """Copies a program and its libraries into the initramfs."""
    to = os.path.join(root, dst.lstrip('/'))
    os.makedirs(os.path.dirname(to), exist_ok=True)
    shutil.copy2(os.path.realpath(src), to)
    for lib in arch.libraries(src):
        if lib.startswith(os.path.realpath(build)) or 'libgpumem' in lib:
            continue
        at = root + arch.place(lib)
        if not os.path.exists(at):
            os.makedirs(os.path.dirname(at), exist_ok=True)
            shutil.copy2(os.path.realpath(lib), at)


def cases_folder(driver):
    """Where the cases are of a VM with the emulated GPU, or with NVIDIA's driver alone."""
    return DRIVER_CASES if driver and not driver.hybrid else CASES


def initramfs_make(build, work, modules, names, arch, driver=None):
    """Writes the initramfs with the cases, of which those named are to run; with a
    driver of NVIDIA's, the cases of tests/driver."""
    root = tempfile.mkdtemp(dir=work)
    try:
        _initramfs_fill(root, build, modules, names, arch, driver)
        img = os.path.join(work, 'initramfs.cpio')
        with open(img, 'wb') as f:
            find = subprocess.Popen(['find', '.', '-print0'], cwd=root,
                                    stdout=subprocess.PIPE)
            subprocess.run(['cpio', '-0', '-o', '-H', 'newc', '--quiet', '-R', '0:0'],
                           cwd=root, stdin=find.stdout, stdout=f, check=True)
            find.wait()
    finally:
        shutil.rmtree(root)
    return img


def _initramfs_fill(root, build, modules, names, arch, driver):
    os.chmod(root, 0o755)  # for the ordinary user
    for d in ('bin', 'sbin', 'proc', 'sys', 'dev', 'tmp', 'etc', 'lib/modules',
              'usr/bin', 'cases', 'root'):
        os.makedirs(os.path.join(root, d))
    shutil.copy2(arch.find('busybox'), os.path.join(root, 'bin/busybox'))
    for tool in TOOLS:
        install(root, arch.find(tool), 'usr/bin/' + tool, build, arch)
    for place, path in modules.items():
        os.makedirs(os.path.dirname(os.path.join(root, place)), exist_ok=True)
        shutil.copy2(path, os.path.join(root, place))
    if driver:
        run(['/sbin/depmod', '-b', root, driver.release])
    libdir = 'usr/lib/' + arch.triplet
    # Where there is no memory there is no CUDA: the simulated one would be found first.
    cuda = libdir + ('/gpumem/sim' if driver and not driver.hybrid else '') + '/libcuda.so.1'
    for src, dst in (('lib/libgpumem.so.0', libdir + '/libgpumem.so.0'),
                     ('compat/gdrapi/libgdrapi.so.2', libdir + '/libgdrapi.so.2'),
                     ('sim/libcuda.so.1', cuda),
                     ('sim/libcuda.so.1', libdir + '/gpumem/sim/libcuda.so.1'),
                     ('tools/gpumem', 'usr/bin/gpumem'),
                     ('examples/fpga-dma/fpga-dma', 'usr/bin/fpga-dma')):
        if os.path.exists(os.path.join(build, src)):
            install(root, os.path.join(build, src), dst, build, arch)
    for progs in (os.path.join(build, d) for d in ('tests/vm', 'tests/fuzz', 'tests/driver')):
        for f in sorted(os.listdir(progs)) if os.path.isdir(progs) else []:
            p = os.path.join(progs, f)
            if os.path.isfile(p) and os.access(p, os.X_OK):
                install(root, p, 'usr/bin/' + f, build, arch)
    shutil.copytree(os.path.join(ROOT, 'tests/data'), os.path.join(root, 'data'))
    shutil.copy2(os.path.join(HERE, 'init'), os.path.join(root, 'init'))
    # All of them: a case behind the IOMMU is most often another one, there.
    cases = cases_folder(driver)
    shutil.copy2(os.path.join(HERE, 'lib.sh'), os.path.join(root, 'cases'))
    if driver:
        lib = 'hybrid.sh' if driver.hybrid else 'lib.sh'
        shutil.copy2(os.path.join(DRIVER, lib), os.path.join(root, 'cases/driver.sh'))
    for name in sorted(os.listdir(cases)):
        shutil.copy2(os.path.join(cases, name), os.path.join(root, 'cases'))
    with open(os.path.join(root, 'cases/list'), 'w') as f:
        f.write(''.join(n + '\n' for n in names))
    with open(os.path.join(root, 'etc/passwd'), 'w') as f:
        f.write('root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n')
    with open(os.path.join(root, 'etc/group'), 'w') as f:
        f.write('root:x:0:\nuser:x:1000:\n')
