"""Tests the client example with servers, over plain sockets, that answer oddly or not at all."""

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


def accept(listener):
    """Accepts a connection; returns it and the head of its request."""
    stream, _ = listener.accept()
    stream.settimeout(GUARD)
    if stream.family == socket.AF_INET:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        part = stream.recv(4096)
        assert part, "it ended within its request"
        head += part
    return stream, head.decode()


def switch(head):
    key = re.search(r"(?i)sec-websocket-key: (\S+)", head)[1]
    accept = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    return (SWITCH + ACCEPT.format(base64.b64encode(accept).decode()) + "\r\n").encode()


def rest(stream):
    """Returns the client's output up to EOF."""
    received = b""
    try:
        while part := stream.recv(1 << 16):
            received += part
    except ConnectionResetError:
        pass
    return received


def unmasked(frame):
    """Parses a short frame of the client."""
    assert frame[1] & 0x80, "it is not masked"
    key = frame[2:6]
    return frame[0], bytes(byte ^ key[k % 4] for k, byte in enumerate(frame[6 : 6 + (frame[1] & 0x7F)]))


@contextmanager
def connected_client(*arguments):
    """Starts a client; yields it, its stream, and the head of its request."""
    listener, url = listening()
    with listener, Client(url, *arguments) as client:
        stream, head = accept(listener)
        with stream:
            yield client, stream, head


def is_rejected(answer, messages, *arguments):
    with connected_client(*arguments) as (client, stream, _):
        stream.sendall(answer)
        for message in messages:
            client.wait_for(message)
        equal((client.status(), rest(stream)), (1, b""))


def drip():
    with connected_client() as (client, stream, head):
        for byte in switch(head) + b"\x81\x03one\x01\x01t\x80\x02wo\x88\x02\x03\xe8":
            stream.sendall(bytes([byte]))
        client.wait_for("connected")
        equal([client.line(), client.line()], ["one", "two"])
        client.wait_for("1000")
        equal(unmasked(rest_until_close(stream)), (0x88, b"\x03\xe8"))
        stream.shutdown(socket.SHUT_WR)
        equal(client.status(), 0)


def rest_until_close(stream):
    received = b""
    while len(received) < 8:
        part = stream.recv(8 - len(received))
        assert part, f"it ended after {received!r}"
        received += part
    return received


def all_at_once():
    with connected_client() as (client, stream, head):
        stream.sendall(switch(head) + b"\x81\x05hello\x88\x02\x03\xe8")
        stream.shutdown(socket.SHUT_WR)
        equal(client.line(), "hello")
        equal(client.status(), 0)


def redirect():
    elsewhere, target = listening()
    with elsewhere:
        head = f"HTTP/1.1 301 Moved Permanently\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
        is_rejected(head.encode(), ["301 Moved Permanently", target], "--once")
        elsewhere.setblocking(False)
        try:
            elsewhere.accept()
        except BlockingIOError:
            return
        raise AssertionError("the client followed the redirect")


def retry_after():
    listener, url = listening()
    with listener, Client(url) as client:
        stream, _ = accept(listener)
        stream.sendall(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy")
        client.wait_for("503 Service Unavailable")
        client.wait_for("busy")
        again = float(re.search(r"again in ([\d.]+) s", client.wait_for("again in"))[1])
        assert again >= 1, again
        stream, head = accept(listener)
        stream.sendall(switch(head))
        client.wait_for("connected")


def closes_at_once(reads):
    listener, url = listening()
    with listener, Client(url) as client:
        for _ in range(2):
            (accept(listener) if reads else listener.accept())[0].close()
            client.wait_for("again in")
        stream, head = accept(listener)
        stream.sendall(switch(head))
        client.wait_for("connected")


def cut_within_a_message():
    with connected_client("--once") as (client, stream, head):
        stream.sendall(switch(head) + b"\x81\x05hel")
        stream.close()
        client.wait_for("connected")
        client.wait_for("ended by the peer")
        equal(client.status(), 1)


def fault(frame, code):
    with connected_client("--once") as (client, stream, head):
        stream.sendall(switch(head) + frame)
        client.wait_for("connected")
        client.wait_for(f"sent close {code}")
        first, payload = unmasked(rest(stream))
        equal((first, int.from_bytes(payload[:2], "big")), (0x88, code))
        stream.close()
        equal(client.status(), 1)


def a_name():
    # Our parser takes it for a name; the system's resolver needs no query.
    listener, url = listening()
    with listener, Client(url.replace("127.0.0.1", "127.1")) as client:
        stream, head = accept(listener)
        assert "Host: 127.1:" in head, head
        stream.sendall(switch(head))
        client.wait_for("connected")


def a_path():
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        path = f"{directory}/socket"
        listener.bind(path)
        listener.listen()
        listener.settimeout(GUARD)
        with Client("ws://localhost/chat", "--unix", path) as client:
            stream, head = accept(listener)
            assert head.startswith("GET /chat HTTP/1.1\r\nHost: localhost\r\n"), head
            stream.sendall(switch(head) + b"\x81\x05hello")
            equal(client.line(), "hello")


def waits_for_the_server():
    listener, url = listening()
    port = listener.getsockname()[1]
    listener.close()
    with Client(url) as client:
        client.type("typed early")
        client.wait_for("cannot connect")
        client.wait_for("again in")
        listener, _ = listening(port)
        with listener:
            stream, head = accept(listener)
            stream.sendall(switch(head))
            equal(unmasked(stream.recv(4096)), (0x81, b"typed early"))
    # A client without a retry policy reports the failure at once.
    with Client(url, "--once") as client:
        client.wait_for("cannot connect")
        equal(client.status(), 1)


def misuse(messages, *arguments):
    with Client(*arguments) as client:
        for message in messages:
            client.wait_for(message)
        client.wait_for("usage")
        equal(client.status(), 2)


def no_answer(client):
    client.wait_for("took too long")
    equal(client.status(), 1)


with listening()[0] as silent:
    # Its timeout is ten seconds, so it starts first and is checked last.
    with Client(f"ws://127.0.0.1:{silent.getsockname()[1]}/", "--once") as slow:
        check("an answer and messages byte by byte", drip)
        check("an answer, a message and EOF in one packet", all_at_once)
        head = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm="here"\r\n'
        messages = ["401 Unauthorized", 'realm=\\"here\\"', "no \\u{1b}[31mtoken"]
        body = b"no \x1b[31mtoken"
        whole = head + b"Content-Length: 13\r\n\r\n" + body
        chunked = head + b"Transfer-Encoding: chunked\r\n\r\nd\r\n" + body + b"\r\n0\r\n\r\n"
        endless = head + b"\r\n" + body + b"a" * (16 << 10)
        check("401 and its body are reported, and the client exits", is_rejected, whole, messages)
        check("a chunked rejection", is_rejected, chunked, messages)
        check("an endless rejection is cut off", is_rejected, endless, messages)
        check("301 is reported, and not followed", redirect)
        check("the client retries a 503 after its Retry-After, and not earlier", retry_after)
        wrong = (SWITCH + ACCEPT.format("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")).encode() + b"\r\n\x81\x02no"
        messages = ["Sec-WebSocket-Accept"]
        check("101 with a wrong accept", is_rejected, wrong, messages, "--once")
        check("101 without one", is_rejected, SWITCH.encode() + b"\r\n", messages, "--once")
        check("an answer that is not HTTP", is_rejected, b"SSH-2.0-OpenSSH_9.9\r\n", ["status line"], "--once")
        for reads in (False, True):
            how = "having read" if reads else "unread"
            check(f"a server that closes at once, {how}, is retried", closes_at_once, reads)
        check("a connection cut within a message", cut_within_a_message)
        check("a masked frame of a server is 1002", fault, b"\x81\x82\0\0\0\0no", 1002)
        check("invalid UTF-8 is 1007", fault, b"\x81\x01\xff", 1007)
        check("an oversized message is 1009", fault, b"\x82\x7f" + (1 << 40).to_bytes(8, "big"), 1009)
        check("a name is looked up", a_name)
        check("a Unix socket", a_path)
        check("input typed before the server is up waits for it", waits_for_the_server)
        check("wss:// is rejected before anything is sent", misuse, ["TLS"], "wss://127.0.0.1/")
        check("no address", misuse, ["the URL is missing"])
        check("another scheme", misuse, ["neither ws nor wss"], "http://127.0.0.1/")
        url = "ws://127.0.0.1/"
        check("a header field that would break the request", misuse, ["X"], url, "--header", "X: a\r\nY: b")
        check("an option without its value", misuse, ["--origin"], url, "--origin")
        check("a server that never answers times out", no_answer, slow)

finish("odd servers")
