"""A WebSocket client without manners, over a plain socket; an honest one beside it; and what the server's process uses."""

import os
import socket
import struct
import threading
import time

HOST, PORT = "127.0.0.1", int(os.environ["PORT"])
PID = os.environ["SERVER_PID"]
GUARD = 30  # seconds until a peer counts as hung
UPGRADE = (
    f"GET / HTTP/1.1\r\nHost: {HOST}:{PORT}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
).encode()
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(opcode, payload=b"", fin=True, declared=None, first=None, mask=True):
    """One frame. The mask is zero, so that payloads stay as they are."""
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
    """`with Peer() as peer`: an open WebSocket, unless told to stay at TCP."""

    def __init__(self, upgrade=True, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(GUARD)
        self.socket.connect((HOST, PORT))
        self.buffer = b""
        if upgrade:
            self.send(UPGRADE)
            head = self.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 "), head[:60]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends what it can; that the server has ended the connection is for the reader to find out."""
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise
        except OSError:
            pass

    def more(self):
        """Whether anything more came; false at the end of the connection."""
        try:
            part = self.socket.recv(65536)
        except ConnectionResetError:
            part = b""
        self.buffer += part
        return bool(part)

    def until(self, end):
        while end not in self.buffer:
            if not self.more():
                break
        head, found, self.buffer = self.buffer.partition(end)
        return head + found

    def take(self, count):
        while len(self.buffer) < count:
            if not self.more():
                return None
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def frame(self):
        """(opcode, payload), or None at the end"""
        head = self.take(2)
        if head is None:
            return None
        length = head[1] & 127
        if length > 125:
            length = int.from_bytes(self.take(2 if length == 126 else 8), "big")
        return head[0] & 15, self.take(length)

    def close_code(self):
        """The code with which the server closes, after whatever else it sends; "no Close" when the connection just ends."""
        code = "no Close"
        while (got := self.frame()) is not None:
            assert code == "no Close", "a frame after Close"
            if got[0] == CLOSE:
                code = int.from_bytes(got[1][:2], "big")
        return code

    def echo(self, payload=b"honest"):
        self.send(frame(BINARY, payload))
        assert self.frame() == (BINARY, payload), "another answer"

    def reset(self):
        """Vanishes: a RST, and not a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Witness(threading.Thread):
    """An honest client that goes on all the while, and looks at the server's memory."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stopped = threading.Event()
        self.fault = None
        self.reset()

    def reset(self):
        self.served, self.slowest, self.peak = 0, 0.0, resident()

    def run(self):
        try:
            with Peer() as peer:
                while not self.stopped.wait(0.01):
                    started = time.monotonic()
                    peer.echo()
                    self.slowest = max(self.slowest, time.monotonic() - started)
                    self.peak = max(self.peak, resident())
                    self.served += 1
        except Exception as error:  # the main thread reports it
            self.fault = f"{type(error).__name__}: {error}"


def resident():
    """The server's resident memory in MiB."""
    with open(f"/proc/{PID}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def descriptors():
    return len(os.listdir(f"/proc/{PID}/fd"))


def eventually(condition):
    """Polls until the condition holds."""
    end = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < end, f"not within {GUARD} s"
        time.sleep(0.02)
