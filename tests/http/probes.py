"""Raw requests to the chat example at $HTTP_URL: for each, the outcomes that are allowed.

Behind each request goes a second, harmless one on the same connection. An outcome tells the statuses of all answers up to
the end of the connection, so `400` says that the server refused the first request and read nothing after it, and `200 200`
that it found the border between the two where it is.
"""

import os
import re
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import check, finish  # noqa: E402

URL = urlsplit(os.environ["HTTP_URL"])
HOST = URL.netloc.encode()
GUARD = 30  # seconds until a connection counts as hung

H = b"Host: " + HOST + b"\r\n"
GET = b"GET / HTTP/1.1\r\n" + H
POST = b"POST / HTTP/1.1\r\n" + H
LAST = GET + b"Connection: close\r\n\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
KEY = b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n"
SOCKET = b"GET /ws HTTP/1.1\r\n" + H


def get(*lines):
    return GET + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(*lines, body=b""):
    return POST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(body):
    return post(b"Transfer-Encoding: chunked", body=body)


def line(text):
    return text + b"\r\n" + H + b"\r\n"


def host(value):
    return b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n"


# A body that nobody waits for is read to its end, or the connection ends: the next request is never taken from inside it.
UNREAD = "405 200 | 405 | 400"
BROKEN_BODY = "400 | 405"

PROBES = [
    # (what, request, outcomes)
    ("plain GET", get(), "200 200"),
    ("field without a value", get(b"X-Empty:"), "200 200"),
    ("tabs and spaces around a value", get(b"X-A: \t b \t"), "200 200"),
    ("a value with bytes above 127", get(b"X-A: caf\xe9"), "200 200 | 400"),
    ("an empty line before the request", b"\r\n" + get(), "200 200 | 400"),
    # Line ends and field lines (RFC 9112 §2.2, §5)
    ("LF alone ends every line", GET.replace(b"\r\n", b"\n") + b"\n", "400"),
    ("LF alone ends the request line", b"GET / HTTP/1.1\n" + H + b"\r\n", "400"),
    ("LF alone ends a field", GET + b"X-A: b\n\r\n", "400"),
    ("LF alone ends the head", GET + b"\n", "400"),
    ("CR alone in a value", get(b"X-A: b\rc"), "400"),
    ("CR alone ends lines", b"GET / HTTP/1.1\rHost: " + HOST + b"\r\r", "400"),
    ("a folded line", get(b"X-A: b", b" c"), "400"),
    ("space before the first field", b"GET / HTTP/1.1\r\n X-A: b\r\n" + H + b"\r\n", "400"),
    ("space before the colon", get(b"X-A : b"), "400"),
    ("space before the colon of Host", b"GET / HTTP/1.1\r\nHost : " + HOST + b"\r\n\r\n", "400"),
    ("a field without a name", get(b": b"), "400"),
    ("a field without a colon", get(b"X-A"), "400"),
    ("a name that is no token", get(b"X(A): b"), "400"),
    ("a name beyond ASCII", get(b"X-\xc3\xa9: b"), "400"),
    ("NUL in a value", get(b"X-A: b\0c"), "400"),
    ("a control character in a value", get(b"X-A: b\x01c"), "400"),
    ("DEL in a value", get(b"X-A: b\x7fc"), "400"),
    # The request line (§3)
    ("two spaces before the target", line(b"GET  / HTTP/1.1"), "400"),
    ("two spaces after the target", line(b"GET /  HTTP/1.1"), "400"),
    ("a tab instead of a space", line(b"GET\t/ HTTP/1.1"), "400"),
    ("a space after the version", line(b"GET / HTTP/1.1 "), "400"),
    ("a space before the method", line(b" GET / HTTP/1.1"), "400"),
    ("a method in lower case", line(b"get / HTTP/1.1"), "405 200 | 405 | 501 | 400"),
    ("a method that is no token", line(b"G(T / HTTP/1.1"), "400"),
    ("an endless method", line(b"G" * 4096 + b" / HTTP/1.1"), "400 | 405 | 501 | 405 200"),
    ("a target of 8,000 bytes", line(b"GET /" + b"a" * 7999 + b" HTTP/1.1"), "404 200"),
    ("a target of 9,000 bytes", line(b"GET /" + b"a" * 8999 + b" HTTP/1.1"), "414"),
    ("a fragment in the target", line(b"GET /#top HTTP/1.1"), "400"),
    ("a target beyond ASCII", line(b"GET /\xc3\xa9 HTTP/1.1"), "400"),
    ("a control character in the target", line(b"GET /\x01 HTTP/1.1"), "400"),
    ("no target", line(b"GET HTTP/1.1"), "400"),
    ("a target without a slash", line(b"GET index.html HTTP/1.1"), "400"),
    ("a query", line(b"GET /?a=b HTTP/1.1"), "200 200"),
    ("markup in the target is not sent back", line(b"GET /<script> HTTP/1.1"), "400 | 404 | 404 200"),
    ("GET of *", line(b"GET * HTTP/1.1"), "400"),
    ("OPTIONS of *", line(b"OPTIONS * HTTP/1.1"), "200 200 | 204 200 | 404 200 | 405 200 | 501"),
    ("the absolute form", line(b"GET http://" + HOST + b"/ HTTP/1.1"), "200 200"),
    ("the absolute form of another host", line(b"GET http://evil.test/ HTTP/1.1"), "421 | 421 200 | 400"),
    ("CONNECT", line(b"CONNECT " + HOST + b" HTTP/1.1"), "400 | 405 | 501"),
    ("TRACE", line(b"TRACE / HTTP/1.1"), "405 | 405 200 | 501"),
    ("no version", b"GET /\r\n\r\n", "400 | 505"),
    ("version HTTP/1", line(b"GET / HTTP/1"), "400 | 505"),
    ("version HTTP/1.2", line(b"GET / HTTP/1.2"), "200 200 | 505 | 400"),
    ("version HTTP/01.01", line(b"GET / HTTP/01.01"), "400 | 505"),
    ("version http/1.1", line(b"GET / http/1.1"), "400 | 505"),
    ("version HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 | 505"),
    ("garbage", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\xaa" * 64, "400 | none"),
    # Host (§3.2)
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", "400"),
    ("two Hosts", get(b"Host: " + HOST), "400"),
    ("an empty Host", host(b""), "400"),
    ("a Host with a user", host(b"evil@" + HOST), "400"),
    ("a Host with a path", host(HOST + b"/x"), "400"),
    ("a Host that is a list", host(HOST + b", evil.test"), "400"),
    ("a Host with a port that is none", host(b"127.0.0.1:http"), "400"),
    ("a foreign Host", host(b"evil.test"), "421 | 421 200"),
    ("a foreign Host that starts like this machine", host(b"localhost.evil.test"), "421 | 421 200"),
    ("Host in capitals", host(b"LOCALHOST:%d" % URL.port), "200 200"),
    ("Host of IPv6", host(b"[::1]:%d" % URL.port), "200 200"),
    # Content-Length (§6.3)
    ("a body that nobody asked for", get(b"Content-Length: 5") + b"hello", "200 200 | 200 | 400"),
    ("a body of known length", post(b"Content-Length: 5", body=b"hello"), UNREAD),
    ("a body that looks like a request", post(b"Content-Length: %d" % len(LAST), body=LAST), UNREAD),
    *[
        (f"Content-Length {value!r}", get(b"Content-Length: " + value) + b"hello", "400")
        for value in (b"", b"+5", b"-5", b"0x5", b"0o5", b"1_0", b"5 5", b"5, 5", b"5,6", b"5;", b"5.0", b"\xd9\xa5")
    ],
    ("Content-Length above 2^63", get(b"Content-Length: 9223372036854775808"), "400 | 413"),
    ("Content-Length above 2^64", get(b"Content-Length: 18446744073709551621") + b"hello", "400 | 413"),
    ("the same Content-Length twice", get(b"Content-Length: 5", b"Content-Length: 5") + b"hello", "400"),
    ("two Content-Lengths", get(b"Content-Length: 5", b"Content-Length: 6") + b"hello", "400"),
    ("Content_Length is an ordinary field", get(b"Content_Length: 100"), "200 200"),
    # Transfer-Encoding (§6.1)
    ("both lengths", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), "400"),
    ("both lengths, the other way round", post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"), "400"),
    *[
        (f"Transfer-Encoding {value!r}", post(b"Transfer-Encoding: " + value, body=b"0\r\n\r\n"), "400 | 501")
        for value in (b"", b"identity", b"gzip", b"gzip, chunked", b"chunked, chunked", b"chunked, identity", b"xchunked",
                      b"\x0bchunked", b'"chunked"', b"chunked;q=1", b"chunked,")
    ],
    ("Transfer-Encoding twice", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), "400 | 501"),
    ("Transfer-Encoding twice, hidden", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", body=b"0\r\n\r\n"), "400 | 501"),
    ("chunked in capitals", post(b"Transfer-Encoding: CHUNKED", body=b"0\r\n\r\n"), UNREAD + " | 501"),
    ("chunked in HTTP/1.0", b"POST / HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 | 501"),
    # Chunks (§7.1)
    ("a chunked body", chunked(b"5\r\nhello\r\n0\r\n\r\n"), UNREAD),
    ("a chunk with an extension", chunked(b"5;a=b\r\nhello\r\n0\r\n\r\n"), UNREAD),
    ("trailers", chunked(b"0\r\nX-A: b\r\n\r\n"), UNREAD),
    ("trailers do not become fields", chunked(b"0\r\nHost: evil.test\r\nContent-Length: 9\r\n\r\n"), UNREAD),
    *[
        (f"chunk size {size!r}", chunked(size + b"\r\nhello\r\n0\r\n\r\n"), BROKEN_BODY)
        for size in (b"", b"+5", b"-5", b"0x5", b"5_", b" 5", b"g", b"5 ;\n", b"100000000000000005", b"5\n")
    ],
    ("LF alone after a chunk's size", chunked(b"5\nhello\r\n0\r\n\r\n"), BROKEN_BODY),
    ("LF alone after a chunk", chunked(b"5\r\nhello\n0\r\n\r\n"), BROKEN_BODY),
    ("no line end after a chunk", chunked(b"5\r\nhello0\r\n\r\n"), BROKEN_BODY),
    ("a chunk longer than it says", chunked(b"5\r\nhello!\r\n0\r\n\r\n"), BROKEN_BODY),
    ("an extension without end", chunked(b"5;" + b"a" * 20_000 + b"\r\nhello\r\n0\r\n\r\n"), BROKEN_BODY),
    # Expect (RFC 9110 §10.1.1)
    ("Expect: 100-continue", post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"), "100 405 200 | 100 405 | 405 | 405 200 | 417"),
    ("another expectation", get(b"Expect: tea"), "417 | 417 200 | 400"),
    # Many requests on one connection
    ("three requests, in order", get() + line(b"GET /missing HTTP/1.1") + get(), "200 404 200 200"),
    ("twenty requests at once", get() * 20, " ".join(["200"] * 21)),
    ("HEAD", line(b"HEAD / HTTP/1.1"), "200 200"),
    ("HEAD of what is not there", line(b"HEAD /missing HTTP/1.1"), "404 200"),
    ("HTTP/1.0", line(b"GET / HTTP/1.0"), "200"),
    ("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", "200 | 400 | 421"),
    ("HTTP/1.0 that stays", b"GET / HTTP/1.0\r\n" + H + b"Connection: keep-alive\r\n\r\n", "200 | 200 200"),
    ("Connection: close", LAST, "200"),
    ("Connection: Close, in a list", get(b"Connection: x, Close"), "200"),
    # Limits
    ("120 fields", get(*[b"X-%d: a" % n for n in range(120)]), "431"),
    ("a head of 40 KiB", get(*[b"X-%d: " % n + b"a" * 1000 for n in range(40)]), "431"),
    ("a head of 40 KiB in one line", get(b"X-A: " + b"a" * 40_000), "431"),
    ("a body of 2 MiB, announced", post(b"Content-Length: 2097152"), "413 | 405"),
    # Origin
    ("GET from another origin", get(b"Origin: http://evil.test"), "200 200 | 403 | 403 200"),
    ("POST from another origin", post(b"Origin: http://evil.test", b"Content-Length: 0"), "403 | 403 200"),
    ("POST from no origin at all", post(b"Origin: null", b"Content-Length: 0"), "403 | 403 200"),
    ("POST from the same host, another port", post(b"Origin: http://127.0.0.1:1", b"Content-Length: 0"), "403 | 403 200"),
    # Upgrades (RFC 6455 §4.2.1)
    ("no upgrade", SOCKET + b"\r\n", "426 200 | 426"),
    ("an upgrade with a body", SOCKET + UPGRADE + KEY + b"Content-Length: 5\r\n\r\nhello", "400"),
    ("an upgrade in chunks", SOCKET + UPGRADE + KEY + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
    ("an upgrade by POST", SOCKET.replace(b"GET", b"POST") + UPGRADE + KEY + b"\r\n", "400 | 405 | 405 200 | 426"),
    ("an upgrade of HTTP/1.0", SOCKET.replace(b"1.1", b"1.0") + UPGRADE + KEY + b"\r\n", "400 | 426 | 505"),
    ("an upgrade without a key", SOCKET + UPGRADE + b"\r\n", "400"),
    ("two keys", SOCKET + UPGRADE + KEY + KEY + b"\r\n", "400"),
    ("a key of 15 bytes", SOCKET + UPGRADE + b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4P\r\n\r\n", "400"),
    ("a key that is not Base64", SOCKET + UPGRADE + b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4P??==\r\n\r\n", "400"),
    ("version 8", SOCKET + UPGRADE.replace(b"13", b"8") + KEY + b"\r\n", "426 | 426 200"),
    ("version 13, 8", SOCKET + UPGRADE.replace(b"13", b"13, 8") + KEY + b"\r\n", "400 | 426 | 426 200"),
    ("no version of WebSocket", SOCKET + UPGRADE.replace(b"Sec-WebSocket-Version: 13\r\n", b"") + KEY + b"\r\n", "400 | 426 | 426 200"),
    ("an upgrade to h2c", get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"), "200 200"),
    ("an upgrade to h2c at the socket", SOCKET + UPGRADE.replace(b"websocket", b"h2c") + KEY + b"\r\n", "426 200 | 426 | 400"),
    ("Upgrade without Connection", SOCKET + UPGRADE.replace(b"Connection: Upgrade\r\n", b"") + KEY + b"\r\n", "400 | 426 | 426 200"),
    ("an upgrade where there is no socket", line(b"GET /missing HTTP/1.1")[:-2] + UPGRADE + KEY + b"\r\n", "404 | 404 200"),
    ("an upgrade for another host", SOCKET.replace(HOST, b"evil.test") + UPGRADE + KEY + b"\r\n", "421 | 421 200"),
    ("an upgrade from another origin", SOCKET + UPGRADE + KEY + b"Origin: http://evil.test\r\n\r\n", "403 | 403 200"),
    ("an upgrade from no origin at all", SOCKET + UPGRADE + KEY + b"Origin: null\r\n\r\n", "403 | 403 200"),
    ("after 101 nothing is HTTP", SOCKET + UPGRADE + KEY + b"\r\n", "101"),
    ("Connection in two lines", SOCKET + b"Connection: keep-alive\r\n" + UPGRADE + KEY + b"\r\n", "101"),
    ("Connection and Upgrade in capitals", SOCKET + UPGRADE.replace(b"Upgrade: websocket", b"UPGRADE: WebSocket") + KEY + b"\r\n", "101"),
]


def talk(request):
    """Everything that the server sends until it ends the connection."""
    received = b""
    with socket.create_connection((URL.hostname, URL.port), timeout=GUARD) as connection:
        try:
            connection.sendall(request)
            while part := connection.recv(65536):
                received += part
        except (BrokenPipeError, ConnectionResetError):
            received += b"\r\n\r\n(reset)"
    return received


def body_length(status, fields, head_only):
    """How long the body of an answer is; each framing rule that an answer breaks is a failure."""
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if status < 200 or status == 204:
        assert not lengths and not codings, f"a length in a {status}"
        return 0
    assert status == 304 or len(lengths) + len(codings) == 1, f"{len(lengths) + len(codings)} lengths in a {status}"
    assert not codings, "the chat sends no chunks"
    assert re.fullmatch(rb"[0-9]+", lengths[0]), f"length {lengths[0]}"
    return 0 if head_only or status == 304 else int(lengths[0])


def answers(received, request):
    """The statuses of the answers, and what is left when the protocol has changed."""
    methods = re.findall(rb"(?m)^([A-Z]+) \S+ HTTP/1\.[01]\r$", request)
    statuses = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        if not head and received == b"(reset)":
            break  # after the answer; before it, there is none
        assert end, f"half an answer: {head[:80]}"
        first, *lines = head.split(b"\r\n")
        found = re.fullmatch(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\x20-\x7e]*", first)
        assert found, f"status line {first[:80]}"
        assert b"\n" not in head.replace(b"\r\n", b""), "LF alone in an answer"
        status, fields = int(found[1]), {}
        for text in lines:
            name, _, value = text.partition(b": ")
            fields.setdefault(name.lower(), []).append(value)
        statuses.append(status)
        if status == 101:
            assert b"content-length" not in fields and b"transfer-encoding" not in fields, "a length in a 101"
            assert not received.startswith(b"HTTP/"), "HTTP after 101"
            break
        if status >= 200:
            assert b"date" in fields, f"no Date in a {status}"
        if status == 405:
            assert b"allow" in fields, "405 without Allow"
        if status == 426:
            assert b"13" in fields.get(b"sec-websocket-version", []), "426 without Sec-WebSocket-Version"
        position = sum(s >= 200 for s in statuses) - 1
        head_only = status >= 200 and position < len(methods) and methods[position] == b"HEAD"
        length = body_length(status, fields, head_only)
        assert len(received) >= length, "a body shorter than announced"
        body, received = received[:length], received[length:]
        if status >= 400:
            assert b"<script>" not in body, "the request is sent back"
            assert b"x-content-type-options" in fields or not body or b"html" not in fields.get(b"content-type", [b""])[0]
    return statuses


def probe(request, outcomes):
    received = talk(request + LAST)
    got = " ".join(map(str, answers(received, request))) or "none"
    allowed = [outcome.strip() for outcome in outcomes.split("|")]
    assert got in allowed, f"answered {got}, allowed {outcomes}"


for what, request, outcomes in PROBES:
    check(what, probe, request, outcomes)

finish("HTTP probes")
