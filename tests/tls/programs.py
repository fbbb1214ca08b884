"""Programs of the TLS tests: ours, openssl and curl, with their output."""

import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
sys.path.insert(0, str(TESTS / "interop"))

GUARD = 60  # seconds until something counts as hung
BIN = Path(os.environ["BIN"])  # the programs of tests/server
PEER = BIN / "tls-peer"  # tokio-tungstenite, in both roles
EXAMPLES = Path(os.environ["EXAMPLES"])
CERTIFICATES = Path(os.environ["CERTIFICATES"])
ROOT, OTHER = str(CERTIFICATES / "root.pem"), str(CERTIFICATES / "other.pem")
KINDS = ["rsa", "rsa-pkcs1", "p256", "p256-parameters", "p384", "ed25519"]

UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: localhost:{}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
)


def chain(kind="p256"):
    return str(CERTIFICATES / f"chain-{kind}.pem")


def key(kind="p256"):
    return str(CERTIFICATES / f"key-{kind}.pem")


class Program:
    """A program, what it has printed to both outputs, and its input."""

    def __init__(self, *command, **environment):
        pipe = subprocess.PIPE
        self.popen = subprocess.Popen(
            [str(word) for word in command], stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )  # fmt: skip
        self.output = b""
        self._at = 0
        self._ended = False
        self._more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.kill()
        self.popen.wait()
        try:
            self.popen.stdin.close()
        except BrokenPipeError:
            pass

    def _read(self):
        while True:
            part = os.read(self.popen.stdout.fileno(), 1 << 16)
            with self._more:
                self.output += part
                self._ended = not part
                self._more.notify_all()
            if not part:
                return

    def send(self, data):
        try:
            self.popen.stdin.write(data.encode() if isinstance(data, str) else data)
            self.popen.stdin.flush()
        except BrokenPipeError:
            pass  # its status and its output say why it has ended

    def wait_for(self, pattern):
        """Waits until it prints a match after the previous one; returns the match."""
        found = None

        def is_done():
            nonlocal found
            found = re.compile(pattern, re.S).search(self.output, self._at)
            return found or self._ended

        with self._more:
            assert self._more.wait_for(is_done, GUARD), f"not within {GUARD} s: {pattern} in {self.last()}"
            assert found, f"it never printed {pattern}, but {self.last()}"
            self._at = found.end()
            return found

    def last(self):
        return self.output[self._at :][-500:]

    def end(self):
        """Waits until it exits; returns its status and its output."""
        with self._more:
            assert self._more.wait_for(lambda: self._ended, GUARD), f"it has not ended after {self.last()}"
        return self.popen.wait(GUARD), self.output.decode(errors="replace")


class Server(Program):
    """A server of ours that listens: its port."""

    def __init__(self, program, *arguments, **environment):
        super().__init__(program, 0, *arguments, **environment)
        self.port = int(self.wait_for(rb"https?://[^/ ]*:(\d+)/")[1])
        self.authority = f"localhost:{self.port}"


def server(adapter, kind="p256", origin=None, local_ca=None):
    """The test server, with TLS unless `kind` is None, or with a local CA in this folder; it echoes on `/ws`, also for
    pages of another `origin`."""
    tls = f" local_ca={local_ca}" if local_ca else f" tls={chain(kind)},{key(kind)}" if kind else ""
    options = "frame_rate=off" + tls
    options += f" origin={origin}" if origin else ""
    return Server(BIN / f"server_{adapter}", OPTIONS=options)


class SClient(Program):
    """`openssl s_client`, which verifies the server unless `root` is None."""

    def __init__(self, port, *arguments, root=ROOT):
        verified = ["-CAfile", root, "-verify_hostname", "localhost", "-verify_return_error"] if root else []
        super().__init__(
            "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", *verified, *arguments
        )  # fmt: skip
        self.port = port

    def get(self, path="/"):
        """Requests the page on a connection that the server ends; returns the status and the output."""
        self.send(f"GET {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nConnection: close\r\n\r\n")
        return self.end()

    def upgrade(self):
        self.send(UPGRADE.format(self.port))
        self.wait_for(rb"HTTP/1.1 101 .*?\r\n\r\n")

    def echo(self, text):
        self.send(frame(text.encode(), masked=True))
        self.wait_for(re.escape(frame(text.encode())))

    def update_key(self, letter):
        """Updates its key with the next data; `K` asks the server for the same, `k` does not."""
        self.send(f"{letter}\n")
        self.wait_for(rb"KEYUPDATE")


class SServer(Program):
    """`openssl s_server`, whose data comes and goes here."""

    def __init__(self, *arguments, kind="p256"):
        super().__init__(
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", CERTIFICATES / f"{kind}.pem",
            "-cert_chain", CERTIFICATES / "intermediate.pem", "-key", key(kind), *arguments,
        )  # fmt: skip
        self.port = int(self.wait_for(rb"ACCEPT 127.0.0.1:(\d+)")[1])
        self.url = f"wss://localhost:{self.port}/"

    def accept(self):
        """Answers an upgrade."""
        import base64
        import hashlib

        asked = self.wait_for(rb"GET / HTTP/1.1\r\n.*?\r\n\r\n")[0].decode()
        nonce = re.search(r"(?i)sec-websocket-key: (\S+)", asked)[1]
        accept = hashlib.sha1(f"{nonce}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        self.send(f"{answer}Sec-WebSocket-Accept: {base64.b64encode(accept).decode()}\r\n\r\n")

    def receive(self, opcode=1):
        """Returns the payload of the next frame of this kind; it is short."""
        start = re.escape(bytes([0x80 | opcode]))
        length = self.wait_for(start + rb"[\x80-\xfd]")[0][1] & 0x7F
        data = self.wait_for(rb".{%d}" % (4 + length))[0]
        return bytes(byte ^ data[i % 4] for i, byte in enumerate(data[4:]))

    def transmit(self, text):
        self.send(frame(text.encode()))

    def close(self, code):
        """Closes, is answered, and ends this connection."""
        self.send(frame(code.to_bytes(2, "big"), 8))
        assert self.receive(8)[:2] == code.to_bytes(2, "big"), "another code was echoed"
        self.send("q\n")

    def update_key(self, letter):
        self.send(f"{letter}\n")
        self.wait_for(rb">>> TLS 1.3, Handshake [^\n]*KeyUpdate")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def accepts(program, port):
    while program.popen.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), GUARD).close()
            return True
        except ConnectionRefusedError:
            pass
    return False


def start_on_free_ports(name, command, file, configured, count):
    """Writes the configuration for so many ports, starts the program with it, and returns both once it accepts on all of
    them. Another program may have taken one, so it tries again."""
    for _ in range(5):
        ports = [free_port() for _ in range(count)]
        file.write_text(configured(ports))
        program = Program(*command, file)
        if all(accepts(program, port) for port in ports):
            return program, ports
        program.popen.kill()
        print(program.end()[1])
    raise RuntimeError(f"{name} did not start")


def frame(payload, opcode=1, masked=False):
    """A short frame; its mask is zero."""
    return bytes([0x80 | opcode, len(payload) | (0x80 if masked else 0)]) + (bytes(4) if masked else b"") + payload


def curl(*arguments, root=ROOT):
    """Runs curl; returns its status, its output and its report on the transfer."""
    trust = ["--cacert", root] if root else []
    form = "%{stderr}%{http_code} %{http_version} %{num_connects}"
    command = ["curl", "--silent", "--max-time", GUARD, "--noproxy", "*", "--write-out", form, *trust, *arguments]
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=2 * GUARD)
    return done.returncode, done.stdout, done.stderr.decode().strip()


def suite(command, **environment):
    """Runs a program of checks; returns its status and its output."""
    done = subprocess.run(
        [str(word) for word in command], env={**os.environ, **environment}, timeout=4 * GUARD,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


def fails(command, reason, **environment):
    """A program exits with 1, and prints this."""
    status, output = suite(command, **environment)
    contains(output, reason)
    assert status == 1, f"status {status}: {output}"


def passes(command, **environment):
    """Every check of a program passes."""
    status, output = suite(command, **environment)
    faults = [line for line in output.splitlines() if line.startswith("FAIL")] or output.splitlines()[-5:]
    assert status == 0, "\n".join(faults)


def contains(output, *parts):
    for part in parts:
        assert part in output, f"no {part!r} in {output[-600:]!r}"
