# SPDX-License-Identifier: MIT
"""What vm.py prints: a line a case, and on a terminal how far each VM is."""
import sys
import threading
import time


class Report:
    """Lines of several VMs, one at a time, above a line of progress."""

    def __init__(self):
        self.lock = threading.Lock()
        self.terminal = sys.stderr.isatty()
        self.state = {}  # VM's name: what it does now
        self.stopped = False  # nothing is printed any more

    def start(self):
        """Shows the line of progress from now on."""
        if self.terminal:
            threading.Thread(target=self._tick, name='ticker', daemon=True).start()

    def lines(self, *lines):
        """Prints lines that belong together."""
        with self.lock:
            if self.stopped:
                return
            self._clear()
            for line in lines:
                print(line)
            sys.stdout.flush()

    def progress(self, name, text):
        """What a VM does from now on; empty when it has ended."""
        with self.lock:
            self.state.pop(name, None)
            if text:
                self.state[name] = (text, time.monotonic())

    def stop(self):
        """Leaves the terminal clean; later lines are of what was interrupted."""
        with self.lock:
            self._clear()
            self.stopped = True

    def _clear(self):
        if self.terminal:
            sys.stderr.write('\r\033[K')
            sys.stderr.flush()

    def _tick(self):
        while True:
            time.sleep(1)
            with self.lock:
                if self.stopped:
                    return
                now = time.monotonic()
                text = '; '.join('%s %s %d s' % (name, what, now - since)
                                 for name, (what, since) in self.state.items())
                sys.stderr.write('\r\033[K' + text[:78])
                sys.stderr.flush()
