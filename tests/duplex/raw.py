"""A client over a plain socket that reads slowly on demand, a server that breaks off, and a slow link."""

import base64
import contextlib
import hashlib
import socket
import struct
import threading
import time
from urllib.parse import urlsplit

GUARD = 60  # seconds until a peer counts as hung
LENGTH = 64 << 10  # of a message
TEXT, BINARY, CLOSE = 1, 2, 8
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def address(url):
    parts = urlsplit(url)
    return parts.hostname, parts.port


def connected(url, receive_buffer=None):
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(GUARD)
    connection.connect(address(url))
    return connection


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close_frame(code, reason, mask):
    payload = code.to_bytes(2, "big") + reason.encode()
    return bytes([0x80 | CLOSE, 0x80 * mask | len(payload)]) + bytes(4 * mask) + payload


class Reader:
    """An open WebSocket. It accepts only messages of LENGTH bytes in order, and a Close."""

    def __init__(self, url, receive_buffer=None):
        self.socket = connected(url, receive_buffer)
        host = ":".join(map(str, address(url))).encode()
        self.socket.sendall(
            b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
        )
        self.buffer = bytearray()
        while b"\r\n\r\n" not in self.buffer:
            assert self.receive(4096), "the server closed the connection"
        end = self.buffer.index(b"\r\n\r\n") + 4
        assert self.buffer.startswith(b"HTTP/1.1 101 "), bytes(self.buffer[:60])
        del self.buffer[:end]
        self.messages = 0
        self.closed = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def receive(self, size):
        """Receives at most `size` bytes; returns false at the end."""
        part = self.socket.recv(size)
        self.buffer += part
        return bool(part)

    def read(self, size):
        """Reads at most `size` bytes; fails at the end of the connection."""
        assert self.receive(size), f"it ended after {self.messages} messages, with {self.closed}"
        self.parse()

    def parse(self):
        while len(self.buffer) >= 2:
            opcode, short = self.buffer[0] & 15, self.buffer[1]
            head = {126: 4, 127: 10}.get(short, 2)
            length = int.from_bytes(self.buffer[2:head], "big") if head > 2 else short
            if len(self.buffer) < head + length:
                return
            payload = bytes(self.buffer[head : head + length])
            del self.buffer[: head + length]
            if opcode == CLOSE:
                self.closed = int.from_bytes(payload[:2], "big"), payload[2:].decode()
            elif opcode == BINARY:
                number = int.from_bytes(payload[:4], "big")
                assert (number, length) == (self.messages, LENGTH), f"{length} bytes, numbered {number}"
                self.messages += 1

    def read_slowly(self, reads, rate, size=4096):
        """Reads at most `size` bytes `reads` times, at `rate` bytes a second in total."""
        for _ in range(reads):
            self.read(size)
            time.sleep(size / rate)

    def send(self, text):
        payload = text.encode()
        self.socket.sendall(bytes([0x80 | TEXT, 0x80 | len(payload)]) + bytes(4) + payload)

    def close(self, code, reason):
        self.socket.sendall(close_frame(code, reason, mask=True))

    def reset(self):
        reset(self.socket)


@contextlib.contextmanager
def breaking_server(wait):
    """A server that accepts one client, reads a little, sends Close 4005 "gone", and resets after `wait` seconds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GUARD)

        def serve():
            connection, _ = listener.accept()
            connection.settimeout(GUARD)
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key + GUID).digest()) + b"\r\n\r\n"
            )
            connection.recv(LENGTH)
            connection.sendall(close_frame(4005, "gone", mask=False))
            time.sleep(wait)
            reset(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(GUARD)


@contextlib.contextmanager
def slow_link(url, rate):
    """Yields the URL of a link to this server that passes `rate` bytes a second each way, and buffers little."""
    size = 4096
    with socket.socket() as listener:
        limit_buffers(listener)
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def pump(source, sink):
            with contextlib.suppress(OSError):
                while part := source.recv(size):
                    due = time.monotonic() + len(part) / rate
                    sink.sendall(part)
                    time.sleep(max(0, due - time.monotonic()))
                sink.shutdown(socket.SHUT_WR)

        def serve():
            with contextlib.suppress(OSError):
                downstream, _ = listener.accept()
                upstream = socket.socket()
                limit_buffers(upstream)
                upstream.connect(address(url))
                threading.Thread(target=pump, args=(downstream, upstream), daemon=True).start()
                pump(upstream, downstream)

        threading.Thread(target=serve, daemon=True).start()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"


def limit_buffers(connection):
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        connection.setsockopt(socket.SOL_SOCKET, buffer, 16 << 10)
