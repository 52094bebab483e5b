#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Follows the README on minimal Debian systems that nothing was installed on.

Each system is a root folder made by debootstrap (minbase, git, make and
ca-certificates) with a clean clone of HEAD, entered with mounts and processes of its
own and with this machine's network. Every command runs on a terminal: how long it
takes until the first output, and the longest time without any, are measured.

Systems: for Debian 12 and 13 each
    root    all of the README as root: demo, installation, the first program,
            uninstallation, unit tests, one case in a VM on each kernel
    user    the same as an ordinary user who may use sudo
    bare    what cannot work says so: no sudo, no network, a path with a space

Needs root. Logs stay in build-fresh/. Exit status 0 when all passed, 1 otherwise; a
system that cannot be made counts as failed.
"""
import argparse
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LOGS = os.path.join(ROOT, 'build-fresh')
CACHE = os.path.abspath(os.path.join(os.environ.get('GPUMEM_CACHE') or os.path.join(
    os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'gpumem'), 'fresh'))
# Kernels of a release, and those that are only tried.
SUITES = {'debian12': ('bookworm', ['6.1', '6.12'], []),
          'debian13': ('trixie', ['6.12'], ['newest'])}
KINDS = ('root', 'user', 'bare')
PACKAGES = 'git,make,ca-certificates'  # all that a system has beside minbase
CASE = 'abi-ids'  # runs on each kernel
FIRST_LIMIT = 10  # seconds until the first output: far more than it should be
SILENCE_LIMIT = 30  # seconds without output
HANG_LIMIT = 900  # seconds without output after which a command is ended
# Not part of what is installed: what the system itself, the compiler's caller and
# a build in the clone write meanwhile.
VOLATILE = re.compile('/(proc|sys|dev|run)(/|$)|/var/cache/ldconfig|/etc/ld.so.cache'
                      '|/(root|home/[^/]*)/(a.out$|quickstart.c$|gpumem/(build|.git)(/|$))')

interrupted = threading.Event()
commands = set()  # process numbers of those that run


class Failure(Exception):
    """A step that did not do what it should; the text says what."""


class Output:
    """Lines of several systems, and how many steps passed and failed."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = 0

    def lines(self, *lines):
        """Prints lines that belong together."""
        with self.lock:
            print('\n'.join(lines), flush=True)

    def count(self, passed):
        """Counts a step."""
        with self.lock:
            self.passed += passed
            self.failed += not passed


class Result:
    """What a command on a terminal printed, and when."""

    def __init__(self):
        self.text = ''
        self.status = None
        self.seconds = self.first = self.silence = 0.0

    def lines(self):
        """Its lines as they stand on the terminal in the end."""
        shown = [re.sub(r'.*\r\x1b\[K', '', l.rstrip('\r')) for l in self.text.split('\n')]
        return [l for l in shown if l.strip()]

    def says(self, line):
        """Whether it printed this line."""
        return line in self.lines()

    def last(self):
        """The last line."""
        return self.lines()[-1] if self.lines() else ''


def terminal_run(command, env):
    """Runs a command on a terminal of its own until it ends or is silent for long."""
    result, start = Result(), time.monotonic()
    pid, terminal = pty.fork()
    if not pid:
        os.execvpe(command[0], command, env)
    commands.add(pid)
    last = start
    data = b''
    while True:
        ready, _, _ = select.select([terminal], [], [], HANG_LIMIT)
        now = time.monotonic()
        try:
            chunk = os.read(terminal, 65536) if ready else b''
        except OSError:  # the other side is closed
            chunk = b''
        result.silence = max(result.silence, now - last)
        if not chunk:
            break
        if not data:
            result.first = now - start
        last, data = now, data + chunk
    if not ready:
        os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    commands.discard(pid)
    result.status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    result.seconds = time.monotonic() - start
    result.text = data.decode(errors='replace').replace('\r\n', '\n')
    if not ready:
        result.text += '\nended after %d s without output\n' % HANG_LIMIT
    return result


def mirror_find():
    """The mirror that this machine gets Debian from."""
    out = subprocess.run(['apt-get', 'indextargets', '--format', '$(REPO_URI) $(CODENAME)',
                          'Identifier: Packages'], stdout=subprocess.PIPE, text=True).stdout
    for suite, _, _ in SUITES.values():
        for line in out.splitlines():
            uri, _, codename = line.partition(' ')
            if codename == suite:
                return uri
    raise Failure("apt's sources name no Debian mirror with %s; add one to "
                  '/etc/apt/sources.list, then apt-get update'
                  % ' or '.join(suite for suite, _, _ in SUITES.values()))


def base_make(suite):
    """The minimal system of a suite, made once."""
    base = os.path.join(CACHE, suite)
    if os.path.exists(base + '/complete') and open(base + '/complete').read() == PACKAGES:
        return base + '/root'
    subprocess.run(['rm', '-rf', '--one-file-system', base], check=True)
    os.makedirs(base)
    with open(base + '/log', 'w') as log:
        p = subprocess.run(['debootstrap', '--variant=minbase',
                            '--include=' + PACKAGES, suite, base + '/root',
                            mirror_find()], stdout=log, stderr=log)
    if p.returncode:
        raise Failure('debootstrap failed; its log is %s/log' % base)
    # Its packages came from the mirror: they are not downloads of ours.
    shutil.rmtree(base + '/root/var/cache/apt/archives')
    os.makedirs(base + '/root/var/cache/apt/archives/partial')
    with open(base + '/complete', 'w') as f:
        f.write(PACKAGES)
    return base + '/root'


def readme_code(language):
    """The README's first block of a language, and a list of all."""
    with open(os.path.join(ROOT, 'README.md')) as f:
        return re.findall('^```%s\n(.*?)^```$' % language, f.read(), re.M | re.S)


class System:
    """One fresh system and the steps on it."""

    def __init__(self, name, output, keep):
        self.name = name
        self.release, self.kind = name.split('-')
        self.suite, self.kernels, self.tried = SUITES[self.release]
        self.output = output
        self.keep = keep
        self.root = os.path.join(CACHE, 'roots', name)
        self.user = 'root' if self.kind == 'root' else 'tester'
        self.home = '/root' if self.kind == 'root' else '/home/tester'
        self.clone = self.home + '/gpumem'
        self.sudo = '' if self.kind == 'root' else 'sudo '
        self.log = None
        self.result = None  # of the last command

    def run(self):
        """Makes the system, takes the steps and removes it again."""
        try:
            if self.step('system', self.make):
                getattr(self, 'steps_' + self.kind)()
        finally:
            if not self.keep:
                self.step('removal', self.remove)

    def remove(self):
        """Removes the root folder; nothing of it is mounted outside its commands."""
        subprocess.run(['rm', '-rf', '--one-file-system', self.root], check=True)

    def step(self, name, function, *args):
        """Takes a step and prints how it went."""
        if interrupted.is_set() and function != self.remove:
            sys.exit()  # this thread alone
        start = time.monotonic()
        self.result = None
        self.log = os.path.join(LOGS, '%s-%s.log' % (self.name, name))
        try:
            note = function(*args) or ''
            ok = True
        except Failure as e:
            note, ok = str(e), False
        except Exception as e:  # whatever it is, the step did not pass
            note, ok = '%s: %s' % (type(e).__name__, e), False
        if interrupted.is_set():
            return ok
        text = '%-6s fresh/%s/%s (%d s' % ('ok' if ok else 'not ok', self.name, name,
                                          time.monotonic() - start)
        if self.result:
            text += '; first output after %.1f s, longest silence %d s' % (
                self.result.first, self.result.silence)
        lines = [text + ')' + (': ' + note if note else '')]
        if not ok and self.result:
            lines += ['       ' + l for l in self.result.lines()[-30:]]
            lines += ['       all of it: ' + self.log]
        self.output.count(ok)
        self.output.lines(*lines)
        return ok

    def command(self, command, folder=None, user=None, offline=False, status=0, timed=True):
        """Runs a shell command on the system; its status must be as expected."""
        env = dict(os.environ)
        if offline:
            env['GPUMEM_FRESH_OFFLINE'] = '1'
        r = terminal_run([os.path.join(HERE, 'enter.sh'), self.root, user or self.user,
                          folder or self.clone, 'sh', '-c', command], env)
        self.result = r
        with open(self.log, 'a') as f:
            f.write('$ %s\n%s\n' % (command, r.text))
        if (status == 'fails') != (r.status != 0) if status in (0, 'fails') else r.status != status:
            raise Failure('%s: exit status %d' % (command, r.status))
        if 'Traceback' in r.text:
            raise Failure('%s: a traceback' % command)
        if timed and r.first > FIRST_LIMIT:
            raise Failure('%s: the first output came after %d s' % (command, r.first))
        if timed and r.silence > SILENCE_LIMIT:
            raise Failure('%s: %d s without output' % (command, r.silence))
        return r

    def make(self):
        """A copy of the minimal system with a clean clone."""
        base = base_make(self.suite)
        self.remove()
        os.makedirs(os.path.dirname(self.root), exist_ok=True)
        subprocess.run(['cp', '-a', '--reflink=auto', base, self.root], check=True)
        for f in ('resolv.conf', 'hosts'):
            shutil.copyfile('/etc/' + f, '%s/etc/%s' % (self.root, f))
        if self.kind == 'user':
            self.command('apt-get update && apt-get install -y --no-install-recommends sudo',
                         folder='/', user='root')
            with open(self.root + '/etc/sudoers.d/tester', 'w') as f:
                f.write('tester ALL=(ALL:ALL) NOPASSWD: ALL\n')
        if self.kind != 'root':
            self.command('useradd -m -s /bin/bash tester', folder='/', user='root', timed=False)
        p = subprocess.run(['git', '-c', 'safe.directory=*', 'clone', '--quiet',
                            '--no-hardlinks', ROOT, self.root + self.clone],
                           stderr=subprocess.PIPE, text=True)
        if p.returncode:
            raise Failure('git clone %s: %s' % (ROOT, p.stderr.strip()))
        if self.kind != 'root':
            self.command('chown -R tester:tester ' + self.clone, folder='/', user='root',
                         timed=False)
        self.result = None

    def paths(self):
        """All files of the system, to see what an installation leaves."""
        found = set()
        for base, dirs, files in os.walk(self.root):
            at = base[len(self.root):]
            found.update(p for p in (at + '/' + n for n in dirs + files)
                         if not VOLATILE.match(p))
            dirs[:] = [d for d in dirs if not VOLATILE.match(at + '/' + d)]
        return found

    def used(self):
        """MB that the system's disk and its downloaded packages take."""
        disk = subprocess.run(['du', '-sm', self.root], stdout=subprocess.PIPE, text=True,
                              check=True).stdout
        debs = self.root + '/var/cache/apt/archives'
        return int(disk.split()[0]), sum(os.path.getsize(os.path.join(debs, f)) for f in
                                         os.listdir(debs) if f.endswith('.deb')) / 1e6

    # What the steps of the kinds are.

    def steps_root(self):
        """All of the README."""
        if self.step('demo', self.demo):
            self.step('demo-offline', self.demo_offline)
        self.steps_installed()
        self.step('unit', self.unit)
        self.step('vm', self.vm)

    steps_user = steps_root

    def steps_bare(self):
        """What must be refused, and how."""
        for target in ('demo', 'test', 'build'):
            self.step('no-sudo-' + target, self.no_sudo, target)
        self.step('offline', self.offline)
        self.step('space', self.space)

    def steps_installed(self):
        """Installation, the first program, the command, uninstallation."""
        before = self.paths()
        if not self.step('install', self.install):
            return
        self.step('program', self.program)
        self.step('command', self.commands)
        self.step('rebuild', self.rebuild)
        self.step('uninstall', self.uninstall, before)

    def demo(self):
        """make demo ends well, in a VM; says what the first run costs."""
        disk, _ = self.used()
        r = self.command('make demo')
        if r.last() != 'Test successful':
            raise Failure('the last line is ' + r.last())
        if not r.says('backend  kmod'):
            raise Failure('it did not run through gpumem.ko')
        after, debs = self.used()
        return 'first run: packages of %d MB, %d MB more disk' % (debs, after - disk)

    def demo_offline(self):
        """Without a network and a kernel: the simulated GPU, with one reason."""
        r = self.command('GPUMEM_CACHE=$HOME/nothing make demo', offline=True)
        if r.last() != 'Test successful' or not r.says('backend  sim'):
            raise Failure('no demo on the simulated GPU')

    def install(self):
        """The README's installation."""
        self.command(self.as_user(readme_code('sh')[1].splitlines()[0]))

    def as_user(self, line):
        """A line of the README; root types it without sudo."""
        return line if self.sudo else line.replace('sudo ', '')

    def program(self):
        """The README's program, compiled and run as it says, word for word."""
        code = readme_code('c')[0]
        with open(self.root + self.home + '/quickstart.c', 'w') as f:
            f.write(code)
        line = re.search(r'^/\* (cc .*) \*/$', code, re.M).group(1)
        r = self.command(line, folder=self.home)
        if r.last() != 'hello (backend sim)':
            raise Failure('it says ' + r.last())

    def commands(self):
        """The installed command."""
        for command in ('gpumem demo', 'gpumem info', 'gpumem --version'):
            self.command(command, folder=self.home)
        self.command('gpumem doctor', folder=self.home, status='fails')

    def rebuild(self):
        """After an installation the user can still build."""
        self.command('touch lib/base/error.c && make')
        foreign = [p for base, dirs, files in os.walk(self.root + self.clone)
                   for p in (os.path.join(base, n) for n in dirs + files)
                   if self.sudo and os.lstat(p).st_uid == 0]
        if foreign:
            raise Failure('files of root in the clone: ' + ' '.join(foreign[:5]))

    def uninstall(self, before):
        """Nothing is left."""
        self.command(self.sudo + 'make uninstall')
        left = sorted(self.paths() - before)
        gone = sorted(before - self.paths())
        if left or gone:
            raise Failure('left: %s; gone: %s' % (' '.join(left[:9]), ' '.join(gone[:9])))

    def unit(self):
        """make unit passes."""
        return self.counted(self.command('make unit'))

    def vm(self):
        """One case on each kernel passes."""
        r = self.command("make vm VM='--test %s'" % CASE)
        for kernel in self.kernels:
            if not any(l.startswith('ok     vm/%s/%s ' % (kernel, CASE)) for l in r.lines()):
                raise Failure('it did not run on kernel ' + kernel)
        for kernel in self.tried:
            if not any(re.match('(ok     vm/%s/%s |skip   vm/%s: .*: .)' % (kernel, CASE, kernel), l)
                       for l in r.lines()):
                raise Failure('neither run nor left out, with a reason: kernel ' + kernel)
        return self.counted(r)

    @staticmethod
    def counted(result):
        """The last line's counts; some passed and none failed."""
        m = re.match(r'(\d+) passed, 0 failed, (\d+) skipped$', result.last())
        if not m or not int(m.group(1)):
            raise Failure('it ends with ' + result.last())
        return result.last()

    def no_sudo(self, target):
        """Within 5 s: failure, and a line for an administrator that apt understands."""
        r = self.command('make ' + target, status='fails')
        m = re.search(r'apt-get install --no-install-recommends [a-z0-9 .+-]+', r.text)
        if not m:
            raise Failure('no line for an administrator')
        if r.seconds > FIRST_LIMIT:
            raise Failure('it took %d s' % r.seconds)
        self.command('apt-get update -qq && ' + m.group(0).replace('install', 'install -s', 1),
                     user='root', timed=False)
        self.result = r

    def offline(self):
        """Without a network: what cannot be had, no traceback."""
        r = self.command('make demo', user='root', offline=True, status='fails')
        if 'network' not in r.text:
            raise Failure('it does not speak of the network')

    def space(self):
        """In a path with a space: the simulated GPU, said in the first line."""
        self.command('apt-get update -qq && apt-get install -y -qq --no-install-recommends '
                     'gcc libc6-dev make meson ninja-build pkg-config', user='root')
        self.command('mkdir "$HOME/with space" && cp -r gpumem "$HOME/with space/"',
                     folder=self.home, timed=False)
        r = self.command('make demo', folder=self.home + '/with space/gpumem')
        if r.last() != 'Test successful' or 'simulated' not in r.lines()[0]:
            raise Failure('no demo on the simulated GPU, said in the first line')


def main():
    """The releases side by side, the systems of each one after the other."""
    names = ['%s-%s' % (r, k) for r in SUITES for k in KINDS]
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--only', action='append', choices=names, help='this system alone')
    p.add_argument('--keep', action='store_true', help='keep the root folders')
    args = p.parse_args()
    if os.geteuid():
        sys.exit('test-fresh: only root can enter root folders: sudo make test-fresh')
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)
    output = Output()
    wanted = args.only or names
    output.lines('test-fresh: %s, from HEAD (20 minutes)' % ' '.join(wanted))
    if subprocess.run(['git', '-C', ROOT, 'status', '--porcelain', '-uno'],
                      stdout=subprocess.PIPE).stdout:
        output.lines('test-fresh: what is not committed is not in the clones')
    start = time.monotonic()

    def release_run(release):
        for name in wanted:
            if name.startswith(release):
                System(name, output, args.keep).run()

    def interrupt(number, frame):
        interrupted.set()
        for pid in list(commands):
            os.kill(pid, signal.SIGKILL)

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    threads = [threading.Thread(target=release_run, args=(r,)) for r in SUITES]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    owner = os.stat(ROOT)
    for base, _, files in os.walk(LOGS):
        for path in [base] + [os.path.join(base, f) for f in files]:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    if interrupted.is_set():
        print('test-fresh: interrupted', file=sys.stderr)
        return 130
    output.lines('# fresh: %d s' % (time.monotonic() - start),
                 '%d passed, %d failed, 0 skipped' % (output.passed, output.failed))
    return 1 if output.failed or not output.passed else 0


if __name__ == '__main__':
    sys.exit(main())
