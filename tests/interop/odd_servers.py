"""Servers, made of plain sockets, that answer oddly or not at all; with the client example as their client."""

import base64
import hashlib
import re
import socket
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import check, equal, finish  # noqa: E402
from command_line import GUARD, Client  # noqa: E402

SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
ACCEPT = "Sec-WebSocket-Accept: {}\r\n"


def listening(port=0):
    listener = socket.create_server(("127.0.0.1", port))
    listener.settimeout(GUARD)
    return listener, f"ws://127.0.0.1:{listener.getsockname()[1]}/"


def taken(listener):
    """The next connection, and the head of its request."""
    stream, _ = listener.accept()
    stream.settimeout(GUARD)
    if stream.family == socket.AF_INET:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = stream.recv(4096)
        assert piece, "it ended within its request"
        head += piece
    return stream, head.decode()


def switch(head):
    key = re.search(r"(?i)sec-websocket-key: (\S+)", head)[1]
    accept = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    return (SWITCH + ACCEPT.format(base64.b64encode(accept).decode()) + "\r\n").encode()


def rest(stream):
    """What the client sends until EOF."""
    got = b""
    try:
        while piece := stream.recv(1 << 16):
            got += piece
    except ConnectionResetError:
        pass
    return got


def unmasked(frame):
    """A short frame of the client."""
    assert frame[1] & 0x80, "it is not masked"
    key = frame[2:6]
    return frame[0], bytes(byte ^ key[k % 4] for k, byte in enumerate(frame[6 : 6 + (frame[1] & 0x7F)]))


@contextmanager
def asked(*arguments):
    """A client that has sent its request: the client, its stream, and the head of the request."""
    listener, url = listening()
    with listener, Client(url, *arguments) as client:
        stream, head = taken(listener)
        with stream:
            yield client, stream, head


def refused(answer, words, *arguments):
    with asked(*arguments) as (client, stream, _):
        stream.sendall(answer)
        for word in words:
            client.says(word)
        equal((client.status(), rest(stream)), (1, b""))


def drips():
    with asked() as (client, stream, head):
        for byte in switch(head) + b"\x81\x03one\x01\x01t\x80\x02wo\x88\x02\x03\xe8":
            stream.sendall(bytes([byte]))
        client.says("connected")
        equal([client.line(), client.line()], ["one", "two"])
        client.says("1000")
        equal(unmasked(rest_until_close(stream)), (0x88, b"\x03\xe8"))
        stream.shutdown(socket.SHUT_WR)
        equal(client.status(), 0)


def rest_until_close(stream):
    got = b""
    while len(got) < 8:
        piece = stream.recv(8 - len(got))
        assert piece, f"it ended after {got!r}"
        got += piece
    return got


def all_at_once():
    with asked() as (client, stream, head):
        stream.sendall(switch(head) + b"\x81\x05hello\x88\x02\x03\xe8")
        stream.shutdown(socket.SHUT_WR)
        equal(client.line(), "hello")
        equal(client.status(), 0)


def redirect():
    elsewhere, target = listening()
    with elsewhere:
        head = f"HTTP/1.1 301 Moved Permanently\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
        refused(head.encode(), ["301 Moved Permanently", target], "--once")
        elsewhere.setblocking(False)
        try:
            elsewhere.accept()
        except BlockingIOError:
            return
        raise AssertionError("it went there")


def comes_later():
    listener, url = listening()
    with listener, Client(url) as client:
        stream, _ = taken(listener)
        stream.sendall(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy")
        client.says("503 Service Unavailable")
        client.says("busy")
        again = float(re.search(r"again in ([\d.]+) s", client.says("again in"))[1])
        assert again >= 1, again
        stream, head = taken(listener)
        stream.sendall(switch(head))
        client.says("connected")


def ends_at_once(reads):
    listener, url = listening()
    with listener, Client(url) as client:
        for _ in range(2):
            (taken(listener) if reads else listener.accept())[0].close()
            client.says("again in")
        stream, head = taken(listener)
        stream.sendall(switch(head))
        client.says("connected")


def cut_in_a_message():
    with asked("--once") as (client, stream, head):
        stream.sendall(switch(head) + b"\x81\x05hel")
        stream.close()
        client.says("connected")
        client.says("ended by the peer")
        equal(client.status(), 1)


def fault(frame, code):
    with asked("--once") as (client, stream, head):
        stream.sendall(switch(head) + frame)
        client.says("connected")
        client.says(f"sent close {code}")
        first, payload = unmasked(rest(stream))
        equal((first, int.from_bytes(payload[:2], "big")), (0x88, code))
        stream.close()
        equal(client.status(), 1)


def a_name():
    # A name to us, which the system's resolver knows without a query.
    listener, url = listening()
    with listener, Client(url.replace("127.0.0.1", "127.1")) as client:
        stream, head = taken(listener)
        assert "Host: 127.1:" in head, head
        stream.sendall(switch(head))
        client.says("connected")


def a_path():
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = f"{directory}/socket"
        listener.bind(path)
        listener.listen()
        listener.settimeout(GUARD)
        with Client("ws://localhost/chat", "--unix", path) as client:
            stream, head = taken(listener)
            assert head.startswith("GET /chat HTTP/1.1\r\nHost: localhost\r\n"), head
            stream.sendall(switch(head) + b"\x81\x05hello")
            equal(client.line(), "hello")


def waits_for_the_server():
    listener, url = listening()
    port = listener.getsockname()[1]
    listener.close()
    with Client(url) as client:
        client.type("typed early")
        client.says("cannot connect")
        client.says("again in")
        listener, _ = listening(port)
        with listener:
            stream, head = taken(listener)
            stream.sendall(switch(head))
            equal(unmasked(stream.recv(4096)), (0x81, b"typed early"))
    # A client without a retry policy reports that at once.
    with Client(url, "--once") as client:
        client.says("cannot connect")
        equal(client.status(), 1)


def misuse(words, *arguments):
    with Client(*arguments) as client:
        for word in words:
            client.says(word)
        client.says("usage")
        equal(client.status(), 2)


def silence(client):
    client.says("took too long")
    equal(client.status(), 1)


with listening()[0] as silent:
    # It has ten seconds: it begins first and is checked last.
    with Client(f"ws://127.0.0.1:{silent.getsockname()[1]}/", "--once") as patient:
        check("an answer and messages byte by byte", drips)
        check("an answer, a message and EOF in one packet", all_at_once)
        head = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm="here"\r\n'
        words = ["401 Unauthorized", 'realm=\\"here\\"', "no \\u{1b}[31mtoken"]
        body = b"no \x1b[31mtoken"
        whole = head + b"Content-Length: 13\r\n\r\n" + body
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\nd\r\n" + body + b"\r\n0\r\n\r\n"
        endless = head + b"\r\n" + body + b"a" * (16 << 10)
        check("401 and its body are reported, and end it", refused, whole, words)
        check("a chunked rejection", refused, chunked, words)
        check("an endless rejection is cut off", refused, endless, words)
        check("301 is reported, and not followed", redirect)
        check("the client retries after the Retry-After of a 503, and not before", comes_later)
        wrong = (SWITCH + ACCEPT.format("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")).encode() + b"\r\n\x81\x02no"
        words = ["Sec-WebSocket-Accept"]
        check("101 with a wrong accept", refused, wrong, words, "--once")
        check("101 without one", refused, SWITCH.encode() + b"\r\n", words, "--once")
        check("an answer that is not HTTP", refused, b"SSH-2.0-OpenSSH_9.9\r\n", ["status line"], "--once")
        for reads in (False, True):
            how = "having read" if reads else "unread"
            check(f"a server that closes at once, {how}, is retried", ends_at_once, reads)
        check("a connection cut within a message", cut_in_a_message)
        check("a masked frame of a server is 1002", fault, b"\x81\x82\0\0\0\0no", 1002)
        check("invalid UTF-8 is 1007", fault, b"\x81\x01\xff", 1007)
        check("an oversized message is 1009", fault, b"\x82\x7f" + (1 << 40).to_bytes(8, "big"), 1009)
        check("a name is looked up", a_name)
        check("a Unix socket", a_path)
        check("input typed before the server is up waits for it", waits_for_the_server)
        check("wss:// is rejected before anything is sent", misuse, ["TLS"], "wss://127.0.0.1/")
        check("no address", misuse, ["where to"])
        check("another scheme", misuse, ["neither ws nor wss"], "http://127.0.0.1/")
        url = "ws://127.0.0.1/"
        check("a header field that would break the request", misuse, ["X"], url, "--header", "X: a\r\nY: b")
        check("an option without its value", misuse, ["--origin"], url, "--origin")
        check("a server that never answers times out", silence, patient)

finish("odd servers")
