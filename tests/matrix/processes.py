"""Starts programs, reads their output line by line, and ends them."""

import os
import queue
import signal
import subprocess
import threading
import time

GUARD = 120  # seconds until something counts as hung; our ends time out earlier


class Process:
    """A program and its output, in a separate process group, so that ending it ends its children."""

    def __init__(self, *command, cwd=None, errors=subprocess.DEVNULL):
        pipe = subprocess.PIPE
        self.popen = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=pipe, stderr=errors, text=True, start_new_session=True
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def _read(self):
        for line in self.popen.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def lines(self):
        """Yields its output until it exits, or until GUARD."""
        deadline = time.monotonic() + GUARD
        while (line := self._next(deadline)) is not None:
            yield line

    def _next(self, deadline):
        try:
            return self._lines.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            return None

    def line(self):
        """Returns the next line; None at the end."""
        return self._next(time.monotonic() + GUARD)

    def end(self):
        # A browser gets SIGTERM first, since it has other groups to end.
        self._signal(signal.SIGTERM)
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            pass
        self._signal(signal.SIGKILL)
        self.popen.wait()

    def _signal(self, number):
        try:
            # The group outlives its leader while it has other members.
            os.killpg(self.popen.pid, number)
        except ProcessLookupError:
            pass
