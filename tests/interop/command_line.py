"""Runs the client example at $CLIENT_BIN, and reads its output."""

import os
import queue
import subprocess
import threading

GUARD = 60  # seconds until a check counts as hung


class Client:
    def __init__(self, *arguments):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [os.environ["CLIENT_BIN"], *arguments], stdin=pipe, stdout=pipe, stderr=pipe
        )
        self._lines = self._read(self.process.stdout)
        self._events = self._read(self.process.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    @staticmethod
    def _read(stream):
        lines = queue.Queue()

        def read():
            for line in stream:
                lines.put(line.decode().removesuffix("\n"))
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        return lines

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def line(self):
        """Returns the next printed line of received data."""
        return self._lines.get(timeout=GUARD)

    def wait_for(self, part):
        """Waits for a printed event that contains this; returns it."""
        printed = []
        while (event := self._events.get(timeout=GUARD)) is not None:
            if part in event:
                return event
            printed.append(event)
        raise AssertionError(f"it never printed {part!r} after {printed!r}")

    def status(self):
        return self.process.wait(GUARD)

    def close_input(self):
        """Closes its input; returns its exit status."""
        self.process.stdin.close()
        return self.status()
