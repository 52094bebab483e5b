#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the unit tests notice? Changes one place of the library at a time and runs them.

Each mutant is a copy of the tree, in a temporary folder, with one small change in a C
file of lib/ or compat/gdrapi/ (scripts/mutate.py): a comparison, a boundary, a negated
condition, a call or a statement that is gone, a constant by one, another value returned.
It is built, and the unit tests run, the quickest first, until one fails. A line each:

    killed    lib/core/map.c:45: return rc -> return 0 [by copy]
    killed    ... [by time in fork]: a test that did not end, by far
    SURVIVED  no test failed: a gap, or a change that no test can see
    same      the compiler made the same object code of it: no mutant
    no build  the compiler refused it: no mutant

A test that fails is run again: what fails by chance kills no mutant. Files that run in
the virtual machine alone, or on another CPU, are left out unless --only names them.
Results are kept in build-mutants/results; --resume goes on where a run was stopped, and
--survivors tries again, with today's tests, what survived. Exit status 0 unless the unit
tests fail without any change.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import filecmp
import functools
import glob
import hashlib
import json
import os
import queue
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import mutate

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KEPT = os.path.join(ROOT, 'build-mutants')
PLACES = ('lib/', 'compat/gdrapi/')
# The unit tests have no driver and no module, and one architecture.
ELSEWHERE = ('lib/backend/dmabuf.c', 'lib/backend/kmod', 'lib/backend/rm/', 'lib/cpu/arm64.c')
# A test hangs after so many seconds of CPU time, which a busy machine makes no longer, and
# that many times what it took unchanged, of time too.
PATIENCE_CPU_S, PATIENCE = 30, 10


def say(text):
    print(text, flush=True)


def sources():
    """The C files that are changed."""
    found = []
    for place in PLACES:
        found += glob.glob(f'{place}**/*.c', root_dir=ROOT, recursive=True)
    return sorted(found)


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


@functools.cache
def original(path):
    """A source as it was at the start: who edits it meanwhile changes no result."""
    return read(os.path.join(ROOT, path))


def choose(seed, only):
    """All mutants in the order of the seed, at most one a line."""
    lines = collections.defaultdict(list)
    for path in sources():
        if not path.startswith(tuple(only)) if only else path.startswith(ELSEWHERE):
            continue
        for mutant in mutate.of_file(path, original(path)):
            lines[mutant.path, mutant.line].append(mutant)
    chance = random.Random(seed)
    order = sorted(lines)
    chance.shuffle(order)
    return [chance.choice(lines[place]) for place in order]


def name_of(mutant):
    return f'{mutant.path}:{mutant.line}: {mutant.why}'


def key_of(mutant):
    """What a result is kept under: the change, and the file that it was made in."""
    told = f'{original(mutant.path)}\0{mutant.start}\0{mutant.new}'
    return hashlib.sha256(told.encode()).hexdigest()[:16]


class Tree:
    """A copy of the project that is built and changed."""

    def __init__(self, folder, options):
        self.patience, self.without = options.patience, options.without
        self.root = os.path.join(folder, 'tree')
        self.build = os.path.join(folder, 'build')
        self.copy()
        self.log = os.path.join(folder, 'log')
        self.prints = {}

    def copy(self):
        """Makes it the project's tree; what is so already keeps its time."""
        for folder, folders, names in os.walk(ROOT):
            folders[:] = [name for name in folders
                          if not name.startswith(('build', '.')) and name != '__pycache__']
            here = os.path.join(self.root, os.path.relpath(folder, ROOT))
            os.makedirs(here, exist_ok=True)
            for name in names:
                new, old = os.path.join(folder, name), os.path.join(here, name)
                if not os.path.exists(old) or not filecmp.cmp(new, old, shallow=False):
                    shutil.copyfile(new, old)
                    shutil.copymode(new, old)

    def command(self, *words):
        with open(self.log, 'ab') as log:
            return subprocess.run(words, cwd=self.root, stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=log, check=False).returncode == 0

    def make(self):
        if not ((os.path.exists(os.path.join(self.build, 'build.ninja')) or
                 self.command('meson', 'setup', self.build, '-Dtests=enabled')) and
                self.ninja('build.ninja') and self.ninja(*self.programs())):
            sys.stderr.write(read(self.log)[-4000:])
            sys.exit('mutants: the project does not build')
        self.objects = collections.defaultdict(list)
        for entry in json.loads(read(os.path.join(self.build, 'compile_commands.json'))):
            path = os.path.relpath(os.path.join(entry['directory'], entry['file']), self.root)
            self.objects[path].append(entry['output'])

    def ninja(self, *files):
        return self.command('ninja', '-C', self.build, *files)

    def introspect(self, what):
        return json.loads(subprocess.run(['meson', 'introspect', what, self.build], check=True,
                                         capture_output=True, text=True).stdout)

    def programs(self):
        """What the unit tests are and need, and no more."""
        wanted = {target for test in self.tests().values() for target in test['depends']}
        names = [name for target in self.introspect('--targets') if target['id'] in wanted
                 for name in target['filename']]
        return [os.path.relpath(name, self.build) for name in names]

    def tests(self):
        """The unit tests of Meson, by their names."""
        return {test['name']: test for test in self.introspect('--tests')
                if test['name'] not in self.without and
                any(suite.split(':')[-1] == 'unit' for suite in test['suite'])}

    def environment(self, test):
        # As Meson sets it, but the same each time.
        return {**os.environ, 'MALLOC_PERTURB_': '85', **test['env']}

    def run(self, test, cpu_s, limit_s):
        """A test: 'passed', 'failed' or 'time'."""
        words = ['sh', '-c', 'ulimit -t "$0"; exec "$@"', str(int(cpu_s)), *test['cmd']]
        with open(self.log, 'wb') as log:
            with subprocess.Popen(words, cwd=test['workdir'] or self.build,
                                  env=self.environment(test), stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=log, start_new_session=True) as child:
                try:
                    status = child.wait(limit_s)
                except subprocess.TimeoutExpired:
                    status = -signal.SIGXCPU
                try:
                    os.killpg(child.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        # 77: left out here, which is as it was before the change.
        return {0: 'passed', 77: 'passed', -signal.SIGXCPU: 'time'}.get(status, 'failed')

    def files(self, test):
        """What a test runs of the build folder: its program, and the libraries that it names."""
        found = {word for word in (*test['cmd'], *test['env'].values())
                 if word.startswith(self.build) and os.path.isfile(word)}
        told = b''.join(self.content(name) for name in found)
        found |= {name for name in self.libraries
                  if os.path.basename(name).split('.so')[0].encode() + b'.so' in told}
        return sorted(found)

    @staticmethod
    def content(name):
        with open(name, 'rb') as file:
            return file.read()

    def print_of(self, test):
        """Tells whether anything that a test runs has changed."""
        files = self.prints.setdefault(test['name'], (self.files(test), None))[0]
        return hashlib.sha256(b''.join(self.content(name) for name in files)).hexdigest()

    def take_prints(self, tests):
        self.libraries = [os.path.join(self.build, name) for name in self.programs()
                          if '.so' in name]
        for name, test in tests.items():
            digest = self.print_of(test)
            self.prints[name] = (self.prints[name][0], digest)

    def bytes_of(self, path):
        return [self.content(os.path.join(self.build, name)) for name in self.objects[path]]

    def write(self, path, text):
        with open(os.path.join(self.root, path), 'w', encoding='utf-8') as file:
            file.write(text)

    def try_mutant(self, mutant, order, times):
        """The mutant's end: a word, and what killed it."""
        path, files = mutant.path, self.programs()
        if not self.objects[path]:
            return 'same', ''
        # An earlier mutant of the same file may be what was built last.
        self.ninja(*self.objects[path])
        before = self.bytes_of(path)
        try:
            self.write(path, mutate.apply(mutant, original(path)))
            if not self.ninja(*self.objects[path]):
                return 'no build', ''
            if self.bytes_of(path) == before:
                return 'same', ''
            if not self.ninja(*files):
                return 'no build', ''
            return self.try_tests(order, times)
        finally:
            self.write(path, original(path))

    def try_tests(self, order, times):
        for test in order:
            files, digest = self.prints[test['name']]
            if files and self.print_of(test) == digest:
                continue
            cpu_s, wall_s = times[test['name']]
            limits = PATIENCE_CPU_S + PATIENCE * cpu_s, self.patience + PATIENCE * wall_s
            end = self.run(test, *limits)
            if end == 'failed':
                end = self.run(test, *limits)
            if end != 'passed':
                return 'killed', ('time in ' if end == 'time' else '') + test['name']
        return 'SURVIVED', ''


class Results:
    """What became of mutants, on the disk."""

    def __init__(self):
        self.path = os.path.join(KEPT, 'results')
        self.ends = {}
        self.lock = threading.Lock()

    def load(self):
        if os.path.exists(self.path):
            for line in read(self.path).splitlines():
                kept = json.loads(line)
                self.ends[kept['key']] = (kept['end'], kept['by'])

    def put(self, mutant, end, killer):
        with self.lock, open(self.path, 'a', encoding='utf-8') as file:
            key = key_of(mutant)
            self.ends[key] = (end, killer)
            file.write(json.dumps({'key': key, 'end': end, 'by': killer,
                                   'mutant': name_of(mutant)}) + '\n')


def tell(mutant, end, killer):
    say(f"{end:9} {name_of(mutant)}" + (f' [by {killer}]' if killer else ''))


def unchanged(tree, tests):
    """What each test takes without a change, of CPU time and of time; all must pass."""
    times = {}
    for name, test in tests.items():
        for left in (2, 1, 0):
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            if tree.run(test, 3600, 3600) == 'passed':
                break
            if not left:
                sys.stderr.write(read(tree.log)[-4000:])
                sys.exit(f'mutants: {name} fails without any change')
        wall_s, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        times[name] = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                       wall_s)
    return times


def worker(tree, work, tests, times, results):
    tree.take_prints(tests)
    order = [tests[name] for name in sorted(tests, key=lambda name: times[name])]
    while True:
        try:
            mutant = work.get_nowait()
        except queue.Empty:
            return
        end, killer = tree.try_mutant(mutant, order, times)
        results.put(mutant, end, killer)
        tell(mutant, end, killer)


def summary(mutants, results):
    ends = collections.Counter(results.ends[key_of(mutant)][0] for mutant in mutants
                               if key_of(mutant) in results.ends)
    tried = ends['killed'] + ends['SURVIVED']
    share = f"{100 * ends['killed'] / tried:.0f} % killed" if tried else 'none was tried'
    say(f"{sum(ends.values())} mutants: {ends['no build']} did not build, {ends['same']} were no "
        f"change, {ends['killed']} killed, {ends['SURVIVED']} survived: {share}")


def wanted(options, results):
    """The mutants of this run, and those of them that have no end yet."""
    if options.count < 1:
        sys.exit(f'mutants: --count {options.count}: it takes 1 or more')
    mutants = choose(options.seed, options.only)[:options.count]
    if not mutants:
        sys.exit(f"mutants: there is nothing to change in {' '.join(options.only)}: name files "
                 'or folders of lib/ or compat/gdrapi/ as git has them')
    if options.survivors or options.resume:
        results.load()
    if options.survivors:
        mutants = [m for m in mutants if results.ends.get(key_of(m), ('',))[0] == 'SURVIVED']
        return mutants, mutants
    return mutants, [m for m in mutants if key_of(m) not in results.ends]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--count', type=int, default=120, help='how many mutants (120)')
    parser.add_argument('--seed', default='1', help='which ones (1)')
    parser.add_argument('--only', action='append', metavar='PATH',
                        help='of files whose paths begin so: lib/copy')
    parser.add_argument('--jobs', type=int, default=1, help='trees at work at a time (1)')
    parser.add_argument('--patience', type=int, default=600,
                        help='seconds, beside ten times what it takes, until a test hangs (600)')
    parser.add_argument('--without', action='append', default=[], metavar='TEST',
                        help='leave this test out: cpu takes longer than all the others')
    parser.add_argument('--work', metavar='FOLDER',
                        help='keep the trees there: another run builds little')
    parser.add_argument('--resume', action='store_true', help='keep the results that there are')
    parser.add_argument('--survivors', action='store_true', help='those that survived, again')
    parser.add_argument('--list', action='store_true', help='print them, and try none')
    return parser.parse_args()


def run(options, mutants, left, results):
    os.makedirs(KEPT, exist_ok=True)
    if not (options.resume or options.survivors):
        open(results.path, 'w', encoding='utf-8').close()
    work = queue.Queue()
    for mutant in left:
        work.put(mutant)
    with (contextlib.nullcontext(options.work) if options.work else
          tempfile.TemporaryDirectory(prefix='mutants.')) as folder:
        trees = []
        for i in range(options.jobs):
            os.makedirs(f'{folder}/{i}', exist_ok=True)
            trees.append(Tree(f'{folder}/{i}', options))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(Tree.make, trees))
        times = unchanged(trees[0], trees[0].tests())
        threads = [threading.Thread(target=worker, daemon=True,
                                    args=(tree, work, tree.tests(), times, results))
                   for tree in trees]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    summary(mutants, results)


def main():
    options = arguments()
    results = Results()
    mutants, left = wanted(options, results)
    if options.list:
        for mutant in left:
            say(name_of(mutant))
        return
    for mutant in mutants:
        if mutant not in left:
            tell(mutant, *results.ends[key_of(mutant)])
    if left:
        run(options, mutants, left, results)
    else:
        summary(mutants, results)


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
