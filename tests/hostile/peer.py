"""A misbehaving WebSocket client over a plain socket, an honest one, and the resource usage of the server."""

import multiprocessing
import os
import socket
import struct
import time

HOST, PORT = "127.0.0.1", int(os.environ["PORT"])
ADDRESS = "0100007F"  # 127.0.0.1 in the format of /proc/net/tcp
PID = os.environ["SERVER_PID"]
GUARD = 30  # seconds until a peer counts as hung
UPGRADE = (
    f"GET /ws HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
).encode()
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(opcode, payload=b"", fin=True, declared=None, first=None, mask=True):
    """One frame. The mask is zero, so payloads are unchanged."""
    length = len(payload) if declared is None else declared
    head = bytes([first if first is not None else opcode | 0x80 * fin])
    if length < 126:
        head += bytes([length | 0x80 * mask])
    elif length < 65536:
        head += struct.pack("!BH", 126 | 0x80 * mask, length)
    else:
        head += struct.pack("!BQ", 127 | 0x80 * mask, length)
    return head + bytes(4 * mask) + payload


class Peer:
    """`with Peer() as peer`: an open WebSocket, or plain TCP on request."""

    def __init__(self, upgrade=True, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(GUARD)
        self.socket.connect((HOST, PORT))
        self.buffer, self.at = bytearray(), 0  # received bytes, and how many of them were consumed
        if upgrade:
            self.send(UPGRADE)
            head = self.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head[:60]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends what it can; reading detects a closed connection."""
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise
        except OSError:
            pass

    def receive(self):
        """Receives data; returns false at the end of the connection."""
        try:
            part = self.socket.recv(65536)
        except ConnectionResetError:
            part = b""
        if self.at:
            del self.buffer[: self.at]
            self.at = 0
        self.buffer += part
        return bool(part)

    def until(self, end):
        while end not in self.buffer:
            if not self.receive():
                break
        found = self.buffer.find(end)
        return self.take(found + len(end) if found >= 0 else len(self.buffer))

    def take(self, count):
        while len(self.buffer) - self.at < count:
            if not self.receive():
                return None
        self.at += count
        return bytes(self.buffer[self.at - count : self.at])

    def frame(self):
        """(opcode, payload), or None at the end. A ping is answered."""
        while (head := self.take(2)) is not None:
            assert head[0] & 0x70 == 0 and head[1] < 128, f"a frame that begins with {head}"
            length = head[1]
            if length > 125:
                length = int.from_bytes(self.take(2 if length == 126 else 8), "big")
            payload = self.take(length)
            if head[0] & 15 != PING:
                return head[0] & 15, payload
            self.send(frame(PONG, payload))
        return None

    def close_code(self):
        """Returns the code of the server's Close, after any other frames, or "no Close"."""
        code = "no Close"
        while (got := self.frame()) is not None:
            assert code == "no Close", "a frame after Close"
            if got[0] == CLOSE:
                code = int.from_bytes(got[1][:2], "big")
        return code

    def echo(self, payload=b"honest"):
        self.send(frame(BINARY, payload))
        assert self.frame() == (BINARY, payload), "another answer"

    def is_cut_off(self):
        """Whether the server has closed its socket. A peer that does not read cannot detect it: the FIN is queued after
        all unread input."""
        ours = f"{ADDRESS}:{self.socket.getsockname()[1]:04X}"
        with open("/proc/net/tcp") as table:
            return not any(line.split()[1:3] == [f"{ADDRESS}:{PORT:04X}", ours] and line.split()[9] != "0" for line in table)

    def reset(self):
        """Resets the connection without a Close."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class HonestPeer:
    """An honest client that counts its round trips and watches the server's memory. It runs in a separate process, so
    that it waits only for the server."""

    def __init__(self):
        self._served = multiprocessing.Value("Q", 0)
        self._peak = multiprocessing.Value("d", 0.0)
        self._fault = multiprocessing.Array("c", 300)
        self.process = multiprocessing.Process(target=self.run, daemon=True)

    def run(self):
        try:
            with Peer() as peer:
                while True:
                    peer.echo(b"round %d" % self.served)
                    self._served.value += 1
                    with self._peak.get_lock():  # must not restore a peak that was reset meanwhile
                        self._peak.value = max(self._peak.value, resident())
                    time.sleep(0.002)
        except Exception as error:  # the other process reports it
            self._fault.value = f"{type(error).__name__}: {error}"[:300].encode()

    @property
    def served(self):
        return self._served.value

    @property
    def fault(self):
        return self._fault.value.decode()

    def reset_peak_memory(self):
        """Returns the server's resident memory in MiB, and restarts the peak from it."""
        with self._peak.get_lock():
            self._peak.value = resident()
            return self._peak.value

    def peak_memory(self):
        return max(self._peak.value, resident())

    def continues(self, times=10):
        """Waits until it has been served this many more times."""
        wanted = self.served + times
        eventually(lambda: self.served >= wanted or self.fault)
        assert not self.fault, f"the honest peer: {self.fault}"


def resident():
    """The server's resident memory in MiB."""
    return memory("VmRSS")


def allocated():
    """The server's data in MiB, resident or not."""
    return memory("VmData")


def memory(kind):
    with open(f"/proc/{PID}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(kind)) / 1024


def descriptors():
    return len(os.listdir(f"/proc/{PID}/fd"))


def counts():
    """The server's counts."""
    with Peer(upgrade=False) as peer:
        peer.send(f"GET /counts HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        page = peer.until(b"delimited by EOF alone").partition(b"\r\n\r\n")[2]
        return {name: int(number) for name, number in (line.split() for line in page.decode().splitlines())}


def eventually(condition):
    """Polls until the condition holds."""
    end = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < end, f"not within {GUARD} s"
        time.sleep(0.002)
