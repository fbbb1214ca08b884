"""Sends raw requests to a test server at $HTTP_URL, each on its own connection with a harmless request after it: the
table, whole and split, and the exchanges in several steps."""

import base64
import hashlib
import random
import re
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import check, equal, finish  # noqa: E402
from table import GET, H, KIB, LAST, POST, PROBES, SOCKET, URL, chunked, get, line, post, upgrade  # noqa: E402

GUARD = 30  # seconds until a connection counts as hung


class Exchange:
    """A connection, and the bytes received on it."""

    def __init__(self):
        self.socket = socket.create_connection((URL.hostname, URL.port), timeout=GUARD)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def until(self, end):
        """Reads until this was received; returns everything up to there."""
        while end not in self.received:
            part = self.socket.recv(65536)
            assert part, f"ended after {self.received[-80:]}"
            self.received += part
        at = self.received.index(end) + len(end)
        found, self.received = self.received[:at], self.received[at:]
        return found

    def rest(self):
        """Reads up to EOF. A reset is a failure: it could have destroyed the answer."""
        while part := self.socket.recv(65536):
            self.received += part
        return self.received


def exchange_raw(request, cuts=0):
    with Exchange() as exchange:
        rng = random.Random(request[:1000])
        at = sorted(rng.randrange(len(request) + 1) for _ in range(cuts))
        for start, end in zip([0, *at], [*at, len(request)]):
            exchange.send(request[start:end])
        return exchange.rest()


class Answer:
    """One answer, parsed from the front of the received bytes. An invalid answer is a failure."""

    def __init__(self, received, method):
        head, end, rest = received.partition(b"\r\n\r\n")
        assert end, f"half an answer: {head[:80]}"
        first, *lines = head.split(b"\r\n")
        found = re.fullmatch(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\x20-\x7e]*", first)
        assert found, f"status line {first[:80]}"
        assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", b"".join(lines)), "a control character in an answer"
        self.status, self.fields = int(found[1]), {}
        for text in lines:
            name, colon, value = text.partition(b": ")
            assert colon and re.fullmatch(rb"[A-Za-z0-9-]+", name), f"field {text[:80]}"
            assert not name[:1].islower() and b"Websocket" not in name, f"the spelling of {name}"
            self.fields.setdefault(name.lower(), []).append(value)
        self.body, self.rest = self.take_body(rest, method)
        self.validate()

    def value(self, name):
        return b", ".join(self.fields.get(name, []))

    def take_body(self, rest, method):
        lengths, codings = self.fields.get(b"content-length", []), self.fields.get(b"transfer-encoding", [])
        if self.status < 200 or self.status == 204:
            assert not lengths and not codings, f"a length in a {self.status}"
            return b"", rest
        assert len(lengths) + len(codings) <= 1, "two lengths"
        if method == b"HEAD" or self.status == 304:
            return b"", rest
        if codings:
            equal(codings, [b"chunked"])
            return take_chunks(rest)
        if not lengths:
            assert b"close" in self.value(b"connection"), f"neither a length nor an end in a {self.status}"
            return rest, b""
        assert re.fullmatch(rb"[0-9]+", lengths[0]), f"length {lengths[0]}"
        length = int(lengths[0])
        assert len(rest) >= length, "a body shorter than announced"
        return rest[:length], rest[length:]

    def validate(self):
        if self.status >= 200:
            equal(len(self.fields.get(b"date", [])), 1)
        if self.status == 405:
            assert self.value(b"allow"), "405 without Allow"
        if self.status == 426:
            equal(self.value(b"sec-websocket-version"), b"13")
            assert b"Upgrade" in self.value(b"connection"), "426 without Connection: Upgrade"
        if self.status == 101:
            assert b"sec-websocket-protocol" not in self.fields, "a subprotocol that was not offered"
        if self.status >= 400:
            whole = self.body + b"".join(b"".join(values) for values in self.fields.values())
            assert b"<script>" not in whole and b"evil" not in whole, "the request is sent back"
            if self.body:
                equal(self.value(b"x-content-type-options"), b"nosniff")
                assert self.value(b"content-type") in (b"text/plain; charset=utf-8", b"text/html; charset=utf-8")
        for name in self.fields:
            assert not name.startswith(b"access-control-"), "another origin is accepted"


def take_chunks(rest):
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        size = int(size, 16)
        if size == 0:
            assert rest.startswith(b"\r\n"), "trailers"
            return body, rest[2:]
        body, rest = body + rest[:size], rest[size:]
        assert rest.startswith(b"\r\n"), "a chunk without end"
        rest = rest[2:]


def answers(received, request):
    """Parses the answers up to EOF. The last one must announce the close."""
    methods = re.findall(rb"(?m)^([A-Za-z]+) \S+ HTTP/1\.[0-9]\r$", request)
    found = []
    while received:
        final = sum(answer.status >= 200 for answer in found)
        found.append(Answer(received, methods[final] if final < len(methods) else b""))
        received = found[-1].rest
        if found[-1].status == 101:
            key = re.findall(rb"(?im)^Sec-WebSocket-Key:[ \t]*(\S+)", request)[-1]
            digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            equal(found[-1].value(b"sec-websocket-accept"), base64.b64encode(digest))
            # The bytes after the upgrade are neither a client's frame nor a request: the server sends a Close.
            assert received.startswith(b"\x88") and received[2:4] == b"\x03\xea", f"{received[:80]} after 101"
            return found
    if found:
        assert b"close" in found[-1].value(b"connection"), "it closes without announcing it"
        for answer in found[:-1]:
            assert b"close" not in answer.value(b"connection"), "it announces the close, and continues"
    return found


def probe(request, statuses, body, cuts):
    found = answers(exchange_raw(request + LAST, cuts), request + LAST)
    equal(" ".join(str(answer.status) for answer in found), statuses)
    if body is not None:
        equal(found[0].body, body)


# --- exchanges in several steps


def single_answer(request):
    """Returns the only answer to the last request of a connection."""
    found = answers(exchange_raw(request), request)
    equal(len(found), 1)
    return found[0]


def closing(start):
    return start + H + b"Connection: close\r\n\r\n"


def head_equals_the_head_of_get():
    for path in (b"/", b"/large", b"/missing", b"/stream"):
        whole, head = (single_answer(closing(method + b" " + path + b" HTTP/1.1\r\n")) for method in (b"GET", b"HEAD"))
        whole.fields.pop(b"date"), head.fields.pop(b"date")
        equal((head.status, head.fields, head.body), (whole.status, whole.fields, b""))


def an_unchanged_page_is_not_sent():
    tag = single_answer(LAST).value(b"etag")
    answer = single_answer(GET + b"If-None-Match: " + tag + b"\r\nConnection: close\r\n\r\n")
    equal((answer.status, answer.body), (304, b""))


def trailers_do_not_become_fields():
    body = b"2\r\nhi\r\n0\r\nX-Trailer: b\r\nCookie: c\r\n\r\n"
    request = chunked(body).replace(b"/echo", b"/fields") + LAST
    names = answers(exchange_raw(request), request)[0].body
    equal(names, b"host\ntransfer-encoding")


def an_expected_body_gets_100_continue():
    with Exchange() as exchange:
        exchange.send(post(b"Expect: 100-continue", b"Content-Length: 5"))
        equal(exchange.until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n")
        exchange.send(b"hello" + LAST)
        equal([answer.status for answer in answers(exchange.rest(), POST + b"\r\n" + LAST)], [200, 200])


def a_100_is_sent_after_earlier_answers():
    with Exchange() as exchange:
        exchange.send(line(b"GET /later HTTP/1.1") + post(b"Expect: 100-continue", b"Content-Length: 5"))
        assert exchange.until(b"later\n").startswith(b"HTTP/1.1 200 ")
        equal(exchange.until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n")
        exchange.send(b"hello" + LAST)
        equal(len(answers(exchange.rest(), POST + b"\r\n" + LAST)), 2)


def a_fault_is_answered_before_the_body_arrives():
    """The answer arrives, although the body is in flight: no reset destroys it."""
    request = post(b"Content-Length: %d" % (8 * KIB * KIB))
    with Exchange() as exchange:
        exchange.send(request + b"b" * 4 * KIB * KIB)
        equal([answer.status for answer in answers(exchange.rest(), request)], [413])


def a_connection_has_a_thousand_requests():
    request = get() * 1001
    equal([answer.status for answer in answers(exchange_raw(request), request)], [200] * 1000)


def sixteen_requests_wait_for_their_answers_and_no_more():
    request = line(b"GET /later HTTP/1.1") * 100 + LAST
    equal(len(answers(exchange_raw(request), request)), 101)
    counts = dict(line.split() for line in single_answer(closing(b"GET /counts HTTP/1.1\r\n")).body.decode().splitlines())
    equal(counts["max_pending"], "16")


def byte_by_byte():
    request = line(b"GET /missing HTTP/1.1") + chunked(b"5;x=y\r\nhello\r\n0\r\nX-A: b\r\n\r\n") + LAST
    with Exchange() as exchange:
        for byte in request:
            exchange.send(bytes([byte]))
        found = answers(exchange.rest(), request)
    equal(([answer.status for answer in found], found[1].body), ([404, 200, 200], b"hello"))


def half_a_request_and_eof():
    for request in (b"", b"GET / HT", GET, POST + b"Content-Length: 5\r\n\r\nhel", POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nh"):
        with Exchange() as exchange:
            exchange.send(request)
            exchange.socket.shutdown(socket.SHUT_WR)
            equal(exchange.rest(), b"")


def a_client_that_closed_its_half_is_still_answered():
    with Exchange() as exchange:
        exchange.send(line(b"GET /later HTTP/1.1") * 2)
        exchange.socket.shutdown(socket.SHUT_WR)
        equal(len(answers(exchange.rest(), line(b"GET /later HTTP/1.1") * 2)), 2)


def nothing_is_a_socket_before_the_switch():
    """Frames sent with the upgrade wait for it: a rejection discards them unread, an acceptance delivers
    them."""
    frame = b"\x82\x85\0\0\0\0hello"
    rejected = upgrade(start=SOCKET.replace(b"/ws", b"/missing"))
    equal([answer.status for answer in answers(exchange_raw(rejected + frame), rejected)], [404])
    with Exchange() as exchange:
        exchange.send(upgrade() + frame)
        assert exchange.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        equal(exchange.until(b"hello"), b"\x82\x05hello")


EXCHANGES = [
    head_equals_the_head_of_get, an_unchanged_page_is_not_sent, trailers_do_not_become_fields,
    an_expected_body_gets_100_continue, a_100_is_sent_after_earlier_answers, a_fault_is_answered_before_the_body_arrives,
    a_connection_has_a_thousand_requests, sixteen_requests_wait_for_their_answers_and_no_more, byte_by_byte,
    half_a_request_and_eof, a_client_that_closed_its_half_is_still_answered, nothing_is_a_socket_before_the_switch,
]


def main():
    equal(len({name for name, *_ in PROBES}), len(PROBES))  # each has a distinct name
    for cuts in (0, 3):
        for name, request, statuses, *body in PROBES:
            body = body[0] if body else None
            check(name + (f", split in {cuts + 1}" if cuts else ""), probe, request, statuses, body, cuts)
    for exchange in EXCHANGES:
        check(exchange.__name__.replace("_", " "), exchange)
    finish("HTTP probes")


main()
