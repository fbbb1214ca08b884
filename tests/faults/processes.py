"""Servers and clients of tests/server as processes that can be starved, stopped and killed."""

import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time

BIN = os.environ["BIN"]
GUARD = 60  # seconds until something counts as hung


def eventually(condition, what):
    end = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < end, f"not within {GUARD} s: {what}"
        time.sleep(0.005)


class Process:
    """A program, and the lines that it has printed."""

    def __init__(self, name, arguments, options="", inside=(), descriptors=None):
        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.lines = []
        self.process = subprocess.Popen([*inside, f"{BIN}/{name}", *map(str, arguments)], stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env={**os.environ, "OPTIONS": options}, preexec_fn=limit, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def matching(self, pattern):
        return [line for line in list(self.lines) if re.search(pattern, line)]

    def wait_for(self, pattern, times=1):
        """Waits until it has printed a match this many times in total."""
        eventually(lambda: len(self.matching(pattern)) >= times, f"{pattern} {times} times in {self.lines[-5:]}")

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait(GUARD)
        self.reader.join(GUARD)

    def is_running(self):
        return self.process.poll() is None

    def wait_exit(self):
        """Waits for it to exit; returns its status."""
        status = self.process.wait(GUARD)
        self.reader.join(GUARD)
        return status

    def ticks(self):
        """Returns the CPU time that it has used, in hundredths of a second."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            user, system = stat.read().rpartition(")")[2].split()[11:13]
        return int(user) + int(system)


class Server(Process):
    def __init__(self, adapter, options="", port=0, **kwargs):
        super().__init__(f"server_{adapter}", [port], options, **kwargs)
        self.wait_for("^test: ")
        self.port = int(re.search(r":(\d+)/", self.matching("^test: ")[0])[1])
        self.url = f"ws://127.0.0.1:{self.port}/ws"


class Client(Process):
    """Sends `count` numbered messages, and exits with 0 once all have been echoed."""

    def __init__(self, adapter, url, count, size, window, options="", **kwargs):
        super().__init__(f"client_{adapter}", [url, count, size, window], options, **kwargs)


class CountsClient:
    """A persistent connection that queries the server's counts."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=GUARD)
        self.request = f"GET /counts HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.buffer = b""

    def counts(self):
        self.socket.sendall(self.request)
        head = self.until(lambda: self.buffer.find(b"\r\n\r\n") + 1, 3)
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        page = self.until(lambda: len(self.buffer) >= length and length, 0)
        return {name: int(number) for name, number in (line.split() for line in page.decode().splitlines())}

    def until(self, end, more):
        while not (at := end()):
            part = self.socket.recv(65536)
            assert part, "the server closed the connection"
            self.buffer += part
        taken, self.buffer = self.buffer[: at + more], self.buffer[at + more :]
        return taken


STOP, CONTINUE = signal.SIGSTOP, signal.SIGCONT
