"""Requests and their outcomes. Each row has a name, the bytes, the statuses of the answers to them and to the harmless
request sent after them on the same connection, and, if useful, the body of the first answer.

`400` means that the server rejected the request and read nothing after it, `200 200` that it found the right boundary
between the two. Where RFC 9110, 9112 or 6455 leaves a choice, only this server's choice is allowed.
"""

import os
from urllib.parse import urlsplit

URL = urlsplit(os.environ["HTTP_URL"])
HOST = URL.netloc.encode()
KIB = 1024

H = b"Host: " + HOST + b"\r\n"
GET = b"GET / HTTP/1.1\r\n" + H
POST = b"POST /echo HTTP/1.1\r\n" + H
LAST = GET + b"Connection: close\r\n\r\n"
SOCKET = b"GET /ws HTTP/1.1\r\n" + H
VERSION = b"Sec-WebSocket-Version: 13\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + VERSION
KEY = b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n"
END = b"0\r\n\r\n"


def fields(*lines):
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def get(*lines):
    return GET + fields(*lines)


def post(*lines, body=b""):
    return POST + fields(*lines) + body


def chunked(body):
    return post(b"Transfer-Encoding: chunked", body=body)


def sized(size, length=None):
    return post(b"Content-Length: %d" % (size if length is None else length), body=b"b" * size)


def line(text):
    return text + b"\r\n" + H + b"\r\n"


def host(value):
    return b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n"


def origin(value, method=b"POST"):
    return method + b" /echo HTTP/1.1\r\n" + H + fields(b"Origin: " + value, b"Content-Length: 0")


def upgrade(*lines, start=SOCKET, requests=UPGRADE, key=KEY):
    return start + requests + key + fields(*lines)


def keyed(key):
    return upgrade(key=b"Sec-WebSocket-Key: " + key + b"\r\n")


def head_of(size):
    """A head of exactly this many bytes."""
    return get(b"X-A: " + b"a" * (size - len(get(b"X-A: "))))


def fields_of(count):
    """A head with exactly this many fields."""
    return get(*[b"X-%d: a" % n for n in range(count - 1)])


PROBES = [
    # (what, request, statuses[, body of the first answer])
    ("plain GET", get(), "200 200"),
    ("field without a value", get(b"X-Empty:"), "200 200"),
    ("no space after the colon", get(b"X-A:b"), "200 200"),
    ("tabs and spaces around a value", get(b"X-A: \t b \t"), "200 200"),
    ("a tab in a value", get(b"X-A: b\tc"), "200 200"),
    ("a value with bytes above 127", get(b"X-A: caf\xe9"), "200 200"),
    ("a colon in a value", get(b"X-A: b:c"), "200 200"),
    ("all characters of a token in a name", get(b"!#$%&'*+-.^_`|~09azAZ: b"), "200 200"),
    ("an empty line before the request", b"\r\n" + get(), "200 200"),
    ("two empty lines before the request", b"\r\n\r\n" + get(), "400"),
    # Line ends and field lines (RFC 9112 §2.2, §5)
    ("LF alone ends every line", GET.replace(b"\r\n", b"\n") + b"\n", "400"),
    ("LF alone ends the request line", b"GET / HTTP/1.1\n" + H + b"\r\n", "400"),
    ("LF alone ends a field", GET + b"X-A: b\n\r\n", "400"),
    ("LF alone ends the last field and the head", GET + b"X-A: b\n\n", "400"),
    ("LF alone ends the head", GET + b"\n", "400"),
    ("LF alone before the request", b"\n" + get(), "400"),
    ("CR alone in a value", get(b"X-A: b\rc"), "400"),
    ("CR alone after a value", get(b"X-A: b\r"), "400"),
    ("CR alone in a name", get(b"X\rA: b"), "400"),
    ("CR alone ends lines", b"GET / HTTP/1.1\rHost: " + HOST + b"\r\r", "400"),
    ("CR alone before the request", b"\r" + get(), "400"),
    ("CR alone in the request line", b"GET /\rx HTTP/1.1\r\n" + H + b"\r\n", "400"),
    ("a folded line", get(b"X-A: b", b" c"), "400"),
    ("a line folded with a tab", get(b"X-A: b", b"\tc"), "400"),
    ("a folded line that is empty", get(b"X-A: b", b" "), "400"),
    ("a folded Transfer-Encoding", post(b"Transfer-Encoding:", b" chunked", body=END), "400"),
    ("a folded Content-Length", post(b"Content-Length: 5", b" 0", body=b"hello"), "400"),
    ("space before the first field", b"GET / HTTP/1.1\r\n X-A: b\r\n" + H + b"\r\n", "400"),
    ("a line of a space before the first field", b"GET / HTTP/1.1\r\n \r\n" + H + b"\r\n", "400"),
    ("space before the colon", get(b"X-A : b"), "400"),
    ("a tab before the colon", get(b"X-A\t: b"), "400"),
    ("space before the colon of Host", b"GET / HTTP/1.1\r\nHost : " + HOST + b"\r\n\r\n", "400"),
    ("space before the colon of Content-Length", post(b"Content-Length : 5", body=b"hello"), "400"),
    ("space before the colon of Transfer-Encoding", post(b"Transfer-Encoding : chunked", body=END), "400"),
    ("a field without a name", get(b": b"), "400"),
    ("a field without a colon", get(b"X-A"), "400"),
    ("a name with a space", get(b"X A: b"), "400"),
    ("a name that is not a token", get(b"X(A): b"), "400"),
    ("a name in quotes", get(b'"X": b'), "400"),
    ("a name beyond ASCII", get(b"X-\xc3\xa9: b"), "400"),
    ("a control character in a name", get(b"X-\x01: b"), "400"),
    ("NUL in a name", get(b"X\0A: b"), "400"),
    *[(f"{value!r} in a value", get(b"X-A: b" + value + b"c"), "400")
      for value in (b"\0", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1b", b"\x1f", b"\x7f")],
    # The request line (§3)
    ("two spaces before the target", line(b"GET  / HTTP/1.1"), "400"),
    ("two spaces after the target", line(b"GET /  HTTP/1.1"), "400"),
    ("a tab before the target", line(b"GET\t/ HTTP/1.1"), "400"),
    ("a tab after the target", line(b"GET /\tHTTP/1.1"), "400"),
    ("a vertical tab before the target", line(b"GET\x0b/ HTTP/1.1"), "400"),
    ("a space after the version", line(b"GET / HTTP/1.1 "), "400"),
    ("text after the version", line(b"GET / HTTP/1.1 x"), "400"),
    ("a space before the method", line(b" GET / HTTP/1.1"), "400"),
    ("a space in the target", line(b"GET /a b HTTP/1.1"), "400"),
    ("a method in lower case", line(b"get / HTTP/1.1"), "405 200"),
    ("an unknown method", line(b"BREW / HTTP/1.1"), "405 200"),
    ("a method of 32 letters", line(b"G" * 32 + b" / HTTP/1.1"), "405 200"),
    ("a method of 33 letters", line(b"G" * 33 + b" / HTTP/1.1"), "501"),
    ("an endless method", line(b"G" * 4096 + b" / HTTP/1.1"), "501"),
    ("a method that is not a token", line(b"G(T / HTTP/1.1"), "400"),
    ("no method", line(b" / HTTP/1.1"), "400"),
    ("a target of 8,000 bytes", line(b"GET /" + b"a" * 7999 + b" HTTP/1.1"), "404 200"),
    ("a target of 8 KiB", line(b"GET /" + b"a" * (8 * KIB - 1) + b" HTTP/1.1"), "404 200"),
    ("a target of 8 KiB and a byte", line(b"GET /" + b"a" * 8 * KIB + b" HTTP/1.1"), "414"),
    ("a target of 9,000 bytes", line(b"GET /" + b"a" * 8999 + b" HTTP/1.1"), "414"),
    ("a fragment in the target", line(b"GET /#top HTTP/1.1"), "400"),
    ("a target beyond ASCII", line(b"GET /\xc3\xa9 HTTP/1.1"), "400"),
    ("a control character in the target", line(b"GET /\x01 HTTP/1.1"), "400"),
    ("NUL in the target", line(b"GET /\0 HTTP/1.1"), "400"),
    ("DEL in the target", line(b"GET /\x7f HTTP/1.1"), "400"),
    ("no target", line(b"GET HTTP/1.1"), "400"),
    ("a target without a slash", line(b"GET index.html HTTP/1.1"), "400"),
    ("a query", line(b"GET /?a=b HTTP/1.1"), "200 200"),
    ("a target with another host in its path", line(b"GET //evil.test/ HTTP/1.1"), "404 200"),
    ("a line end, encoded, in the target", line(b"GET /%0d%0aX-Evil:%20b HTTP/1.1"), "404 200"),
    ("a parent path in the target", line(b"GET /../../etc/passwd HTTP/1.1"), "404 200"),
    ("markup in the target", line(b"GET /<script> HTTP/1.1"), "400"),
    ("markup in the target is not sent back", line(b"GET /%3Cscript%3E?%3Cscript%3E HTTP/1.1"), "404 200"),
    ("markup in a name and a value is not sent back", get(b"X-evil: <script>", b"<script>: evil"), "400"),
    ("GET of *", line(b"GET * HTTP/1.1"), "400"),
    ("POST of *", line(b"POST * HTTP/1.1"), "400"),
    ("OPTIONS of *", line(b"OPTIONS * HTTP/1.1"), "204 200"),
    ("OPTIONS of a page", line(b"OPTIONS / HTTP/1.1"), "204 200"),
    ("the absolute form", line(b"GET http://" + HOST + b"/ HTTP/1.1"), "200 200"),
    ("the absolute form in capitals", line(b"GET HTTP://" + HOST + b"/ HTTP/1.1"), "200 200"),
    ("the absolute form of another host", line(b"GET http://evil.test/ HTTP/1.1"), "421"),
    ("the absolute form wins over Host", b"GET http://" + HOST + b"/ HTTP/1.1\r\nHost: evil.test\r\n\r\n", "200 200"),
    ("the absolute form and no Host", b"GET http://" + HOST + b"/ HTTP/1.1\r\n\r\n", "400"),
    ("the absolute form with a user", line(b"GET http://evil@" + HOST + b"/ HTTP/1.1"), "400"),
    ("the absolute form of another scheme", line(b"GET ftp://" + HOST + b"/ HTTP/1.1"), "400"),
    ("the authority form", line(b"GET " + HOST + b" HTTP/1.1"), "400"),
    ("CONNECT", line(b"CONNECT " + HOST + b" HTTP/1.1"), "501"),
    ("CONNECT of a path", line(b"CONNECT / HTTP/1.1"), "501"),
    ("TRACE", line(b"TRACE / HTTP/1.1"), "501"),
    ("HTTP/0.9", b"GET /\r\n\r\n", "400"),
    *[(f"version {version.decode()}", line(b"GET / " + version), statuses)
      for version, statuses in [
          (b"HTTP/1.2", "200 200"), (b"HTTP/1.9", "200 200"), (b"HTTP/0.9", "505"), (b"HTTP/2.0", "505"),
          (b"HTTP/3.0", "505"), (b"HTTP/1", "400"), (b"HTTP/1.", "400"), (b"HTTP/.1", "400"), (b"HTTP/1.10", "400"),
          (b"HTTP/1.1.1", "400"), (b"HTTP/01.01", "400"), (b"HTTP/1,1", "400"), (b"HTTP/ 1.1", "400"),
          (b"http/1.1", "400"), (b"HTTPS/1.1", "400"), (b"HTTP", "400"), (b"ICY/1.1", "400"),
      ]],
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
    ("the beginning of TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\xaa" * 64, ""),
    # Host (§3.2), and which hosts are accepted
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", "400"),
    ("two Hosts", get(b"Host: " + HOST), "400"),
    *[(f"Host {value!r}", host(value), "400")
      for value in (b"", b"evil@" + HOST, HOST + b"/x", HOST + b"?x", HOST + b"#x", HOST + b", evil.test", HOST + b" x",
                    b"http://" + HOST, b"127.0.0.1:http", b"127.0.0.1:-1", b"127.0.0.1:65536", b"127.0.0.1:80:80",
                    b"[::1", b"::1", b"[::1]x", b"[localhost]", b"[::1%eth0]", b"[fe80::1%]", b"[fe80::1%25]",
                    b"[fe80::1%" + b"x" * 200 + b"]", b":80", b"..", b"caf\xe9.test", b"local%68ost")],
    *[(f"Host {value!r} is rejected", host(value), "421")
      for value in (b"evil.test", b"localhost.evil.test", b"127.0.0.1.evil.test", b"notlocalhost", b"127.1", b"2130706433",
                    b"0x7f.0.0.1", b"017700000001")],
    *[(f"Host {value!r} is this machine", host(value), "200 200")
      for value in (b"LOCALHOST:%d" % URL.port, b"localhost.", b"localhost", b"app.localhost", b"[::1]:%d" % URL.port,
                    b"127.0.0.1:1", b"127.0.0.1:", b"192.168.1.7", b"[fe80::1%eth0]", b"[fe80::1%25eth0]:9")],
    # Content-Length (§6.3)
    ("an unexpected body", get(b"Content-Length: 5") + b"hello", "200 200"),
    ("a body of known length", post(b"Content-Length: 5", body=b"hello"), "200 200", b"hello"),
    ("a body that looks like a request", post(b"Content-Length: %d" % len(LAST), body=LAST), "200 200", LAST),
    ("a body of HEAD", b"HEAD / HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(LAST) + LAST, "200 200"),
    ("a body of OPTIONS", b"OPTIONS / HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(LAST) + LAST, "204 200"),
    ("a body of GET in chunks", get(b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n" + END, "200 200"),
    ("a length with zeros before it", post(b"Content-Length: 0005", body=b"hello"), "200 200", b"hello"),
    ("a length of zero", post(b"Content-Length: 0"), "200 200", b""),
    ("no length at all", post(), "200 200", b""),
    *[
        (f"Content-Length {value!r}", get(b"Content-Length: " + value) + b"hello", "400")
        for value in (b"", b"+5", b"-5", b"-0", b"0x5", b"0o5", b"1_0", b"5 5", b"5\t5", b"5, 5", b"5,6", b",5", b"5;", b"5.0",
                      b"5e0", b"five", b'"5"', b"\xd9\xa5", b"\xef\xbc\x95", b"9223372036854775808",
                      b"18446744073709551616", b"18446744073709551621", b"9" * 40)
    ],
    ("the same Content-Length twice", get(b"Content-Length: 5", b"Content-Length: 5") + b"hello", "400"),
    ("two Content-Lengths", get(b"Content-Length: 5", b"Content-Length: 6") + b"hello", "400"),
    ("two Content-Lengths, with others between", get(b"Content-Length: 0", b"X-A: b", b"content-length: 5") + b"hello", "400"),
    ("Content_Length is an ordinary field", get(b"Content_Length: 100"), "200 200"),
    ("Content-Length in another field's name", get(b"X-Content-Length: 100"), "200 200"),
    # Transfer-Encoding (§6.1)
    ("both lengths", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=END), "400"),
    ("both lengths, the other way round", post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=END), "400"),
    ("both lengths, one of them 0", post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=END), "400"),
    ("both lengths in HTTP/1.0", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=END)
     .replace(b"HTTP/1.1", b"HTTP/1.0", 1), "400"),
    *[
        (f"Transfer-Encoding {value!r}", post(b"Transfer-Encoding: " + value, body=END), statuses)
        for value, statuses in [
            (b"", "501"), (b"identity", "501"), (b"gzip", "501"), (b"gzip, chunked", "501"), (b"chunked, gzip", "501"),
            (b"chunked, chunked", "501"), (b"chunked, identity", "501"), (b"xchunked", "501"), (b"chunkedx", "501"),
            (b"chunk", "501"), (b"\x0bchunked", "400"), (b"chunked\x0b", "400"), (b'"chunked"', "501"), (b"chunked;q=1", "501"),
            (b"chunked,", "501"), (b",chunked", "501"), (b"chunked chunked", "501"), (b"chunked\0", "400"),
        ]
    ],
    ("Transfer-Encoding twice", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=END), "501"),
    ("Transfer-Encoding twice, hidden", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", body=END), "501"),
    ("Transfer-Encoding twice, hidden in front", post(b"Transfer-Encoding: x", b"Transfer-Encoding: chunked", body=END), "501"),
    ("chunked in capitals", post(b"Transfer-Encoding: CHUNKED", body=b"5\r\nhello\r\n" + END), "200 200", b"hello"),
    ("chunked with spaces around it", post(b"Transfer-Encoding: \tchunked ", body=b"5\r\nhello\r\n" + END), "200 200", b"hello"),
    ("chunked in HTTP/1.0", b"POST /echo HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n" + END, "400"),
    ("Transfer_Encoding is an ordinary field", post(b"Transfer_Encoding: chunked", b"Content-Length: 5", body=b"hello"),
     "200 200", b"hello"),
    ("TE is an ordinary field", get(b"TE: trailers, chunked"), "200 200"),
    # Chunks (§7.1)
    ("a chunked body", chunked(b"5\r\nhello\r\n" + END), "200 200", b"hello"),
    ("two chunks", chunked(b"2\r\nhe\r\n3\r\nllo\r\n" + END), "200 200", b"hello"),
    ("no chunk but the last", chunked(END), "200 200", b""),
    ("a chunk's size in capitals", chunked(b"A\r\n0123456789\r\n" + END), "200 200", b"0123456789"),
    ("a chunk's size with zeros", chunked(b"00000005\r\nhello\r\n000\r\n\r\n"), "200 200", b"hello"),
    ("a chunk's size with fifteen zeros", chunked(b"%016x\r\nhello\r\n%016x\r\n\r\n" % (5, 0)), "200 200", b"hello"),
    ("whitespace before an extension", chunked(b"5 ;a=b\r\nhello\r\n0\t ; c = d\r\n\r\n"), "200 200", b"hello"),
    ("a chunk with an extension", chunked(b'5;a=b; c="d"\r\nhello\r\n' + END), "200 200", b"hello"),
    ("a chunk that looks like a request", chunked(b"%x\r\n" % len(LAST) + LAST + b"\r\n" + END), "200 200", LAST),
    ("trailers", chunked(b"0\r\nX-A: b\r\nX-B: c\r\n\r\n"), "200 200", b""),
    ("trailers that would be fields", chunked(b"0\r\nHost: evil.test\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n"),
     "200 200", b""),
    *[
        (f"chunk size {size!r}", chunked(size + b"\r\nhello\r\n" + END), "400")
        for size in (b"", b"+5", b"-5", b"0x5", b"5_", b"5_0", b" 5", b"5 ", b"\t5", b"g", b"5g", b"5 ;\n", b"5;\n", b"5;a\nb",
                     b"5;a\rb", b"5;a\0b", b"00000000000000005", b"10000000000000005", b"5 6", b"5 \n", b"5\n", b"5\r", b"5,5", b"5.",
                     b"\xef\xbc\x95")
    ],
    ("a chunk of 4 GiB", chunked(b"100000000\r\nhello"), "413"),
    ("a chunk of the largest size", chunked(b"ffffffffffffffff\r\nhello"), "413"),
    ("LF alone after a chunk's size", chunked(b"5\nhello\r\n" + END), "400"),
    ("CR alone after a chunk's size", chunked(b"5\rhello\r\n" + END), "400"),
    ("LF alone after a chunk", chunked(b"5\r\nhello\n" + END), "400"),
    ("CR alone after a chunk", chunked(b"5\r\nhello\r" + END), "400"),
    ("no line end after a chunk", chunked(b"5\r\nhello" + END), "400"),
    ("a chunk longer than declared", chunked(b"5\r\nhello!\r\n" + END), "400"),
    ("a chunk shorter than declared", chunked(b"7\r\nhello\r\n" + END), "400"),
    ("no line end after the last chunk", chunked(b"0\r\n"), "400"),
    ("LF alone after the last chunk", chunked(b"0\n\n"), "400"),
    ("a bad trailer", chunked(b"0\r\nX A: b\r\n\r\n"), "400"),
    ("a folded trailer", chunked(b"0\r\nX-A: b\r\n c\r\n\r\n"), "400"),
    ("LF alone in the trailers", chunked(b"0\r\nX-A: b\n\r\n"), "400"),
    ("extensions of 4 KiB", chunked(b"5;" + b"a" * 4 * KIB + b"\r\nhello\r\n" + END), "200 200", b"hello"),
    ("extensions of 4 KiB and a byte", chunked(b"5;" + b"a" * (4 * KIB + 1) + b"\r\nhello\r\n" + END), "400"),
    ("extensions of 4 KiB in many chunks", chunked(b"1;abc\r\nx\r\n" * 2000 + END), "400"),
    ("trailers of more than 64 fields", chunked(b"0\r\n" + b"X: y\r\n" * 65 + b"\r\n"), "431"),
    ("a trailer of more than 8 KiB", chunked(b"0\r\nX: " + b"y" * 8 * KIB + b"\r\n\r\n"), "431"),
    # Expect (RFC 9110 §10.1.1)
    ("Expect, and the body right after it", post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello"), "100 200 200", None),
    ("Expect in capitals", post(b"Expect: 100-CONTINUE", b"Content-Length: 5", body=b"hello"), "100 200 200", None),
    ("Expect without a body", get(b"Expect: 100-continue"), "200 200"),
    ("Expect of HTTP/1.0", POST.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "200", b"hello"),
    ("Expect with a body over the limit", post(b"Expect: 100-continue", b"Content-Length: 9999999"), "413"),
    ("another expectation", get(b"Expect: tea"), "417"),
    ("another expectation of HTTP/1.0", b"GET / HTTP/1.0\r\n" + H + b"Expect: tea\r\n\r\n", "200"),
    # Many requests on one connection, and its end (RFC 9112 §9)
    ("three requests, in order", get() + line(b"GET /missing HTTP/1.1") + get(), "200 404 200 200"),
    ("twenty requests at once", get() * 20, " ".join(["200"] * 21)),
    ("twenty delayed answers", line(b"GET /later HTTP/1.1") * 20, " ".join(["200"] * 21), b"later\n"),
    ("an immediate answer after a delayed one", line(b"GET /later HTTP/1.1") + line(b"GET /missing HTTP/1.1"), "200 404 200", b"later\n"),
    ("a bad request after a good one", get() + b"GET / HTTP/1.1\r\n\r\n" + get(), "200 400"),
    ("an unanswered request, and an answered one", line(b"GET /never HTTP/1.1") + get(), "503 200 200"),
    ("HEAD", line(b"HEAD / HTTP/1.1"), "200 200"),
    ("HEAD of a missing page", line(b"HEAD /missing HTTP/1.1"), "404 200"),
    ("HEAD of a streaming response", line(b"HEAD /stream HTTP/1.1"), "200 200"),
    ("a bad HEAD", b"HEAD / HTTP/1.1\r\n\r\n", "400"),
    ("an answer without a body", line(b"GET /nothing HTTP/1.1"), "204 200"),
    ("a streaming response", line(b"GET /stream HTTP/1.1"), "200 200", b"one two three"),
    ("a streaming response to HTTP/1.0", b"GET /stream HTTP/1.0\r\n\r\n", "200", b"one two three"),
    ("a method that is not allowed", line(b"DELETE / HTTP/1.1"), "405 200"),
    ("HTTP/1.0", line(b"GET / HTTP/1.0"), "200"),
    ("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", "200"),
    ("HTTP/1.0 with a bad Host", b"GET / HTTP/1.0\r\nHost: a, b\r\n\r\n", "400"),
    ("HTTP/1.0 with keep-alive", b"GET / HTTP/1.0\r\n" + H + b"Connection: keep-alive\r\n\r\n", "200 200"),
    ("Connection: close", LAST, "200"),
    ("Connection: Close, in a list", get(b"Connection: x, Close"), "200"),
    ("Connection: close, in a second line", get(b"Connection: x", b"Connection: close"), "200"),
    ("Connection: closed is not close", get(b"Connection: closed"), "200 200"),
    ("a field that Connection names", post(b"Connection: Content-Length", b"Content-Length: 5", body=b"hello"), "200 200", b"hello"),
    # Limits
    ("100 fields", fields_of(100), "200 200"),
    ("101 fields", fields_of(101), "431"),
    ("1,000 fields", fields_of(1000), "431"),
    ("a head of 32 KiB", head_of(32 * KIB), "200 200"),
    ("a head of 32 KiB and a byte", head_of(32 * KIB + 1), "431"),
    ("a head of 40 KiB in many lines", get(*[b"X-%d: " % n + b"a" * 1000 for n in range(40)]), "431"),
    ("a name of 40 KiB", get(b"X" * 40 * KIB + b": a"), "431"),
    ("a head without end", GET + b"X-A: " + b"a" * 100 * KIB, "431"),
    ("a request line without end", b"GET /" + b"a" * 100 * KIB, "414"),
    ("a body of 1 MiB", sized(KIB * KIB), "200 200", b"b" * KIB * KIB),
    ("a body of 1 MiB and a byte", sized(KIB * KIB + 1), "413"),
    ("a body of 2 MiB, announced", sized(0, 2 * KIB * KIB), "413"),
    ("a body of 2^63 - 1, announced", post(b"Content-Length: 9223372036854775807"), "413"),
    ("a body of GET of 2 MiB", get(b"Content-Length: 2097152"), "413"),
    ("a body of 1 MiB in chunks", chunked(b"100000\r\n" + b"b" * KIB * KIB + b"\r\n" + END), "200 200", b"b" * KIB * KIB),
    ("a body of 1 MiB and a byte in chunks", chunked((b"8000\r\n" + b"b" * 32 * KIB + b"\r\n") * 32 + b"1\r\nb\r\n" + END), "413"),
    # Origin: which origins may change state, and which may open a socket (RFC 6455 §10.2)
    ("GET from another origin", get(b"Origin: http://evil.test"), "200 200"),
    *[(f"POST from {value!r}", origin(value), "403")
      for value in (b"http://evil.test", b"null", b"http://127.0.0.1:1", b"http://" + HOST + b".evil.test",
                    b"http://evil.test/" + HOST, b"http://" + HOST + b"@evil.test", b"file://", b"qrc://", b"",
                    b"http://app.localhost:%d" % URL.port, b"http://127.0.0.2:%d" % URL.port)],
    ("POST from an invalid origin", origin(b"caf\xe9"), "400"),
    ("POST from its own page", origin(b"http://" + HOST), "200 200"),
    ("POST from its own page, behind TLS", origin(b"https://" + HOST), "200 200"),
    *[(f"POST from its own page, at {value!r}", origin(b"http://%s:%d" % (value, URL.port)), "200 200")
      for value in (b"localhost", b"[::1]")],
    ("POST from two origins", post(b"Origin: http://" + HOST, b"Origin: http://evil.test", b"Content-Length: 0"), "400"),
    *[(f"{method.decode()} from another origin", origin(b"http://evil.test", method), "403")
      for method in (b"PUT", b"DELETE", b"PATCH", b"post", b"BREW")],
    ("a preflight from another origin", b"OPTIONS /echo HTTP/1.1\r\n" + H
     + fields(b"Origin: http://evil.test", b"Access-Control-Request-Method: POST"), "204 200"),
    # Upgrades (RFC 6455 §4.2.1, RFC 9110 §7.8)
    ("no upgrade", SOCKET + b"\r\n", "426 200"),
    ("an upgrade", upgrade(), "101"),
    ("an upgrade with a body", upgrade(b"Content-Length: 5") + b"hello", "400"),
    ("an upgrade with a request as its body", upgrade(b"Content-Length: %d" % len(LAST)) + LAST, "400"),
    ("an upgrade with an empty body", upgrade(b"Content-Length: 0"), "101"),
    ("an upgrade in chunks", upgrade(b"Transfer-Encoding: chunked") + END, "400"),
    ("an upgrade with another coding", upgrade(b"Transfer-Encoding: gzip"), "501"),
    ("an upgrade with Expect", upgrade(b"Expect: 100-continue"), "101"),
    ("an upgrade by POST", upgrade(start=SOCKET.replace(b"GET", b"POST")), "405"),
    ("an upgrade by HEAD", upgrade(start=SOCKET.replace(b"GET", b"HEAD")), "405"),
    ("an upgrade by CONNECT", upgrade(start=SOCKET.replace(b"GET", b"CONNECT")), "501"),
    ("an upgrade of HTTP/1.0", upgrade(start=SOCKET.replace(b"1.1", b"1.0")), "426"),
    ("an upgrade of HTTP/1.2", upgrade(start=SOCKET.replace(b"1.1", b"1.2")), "101"),
    ("an upgrade without a key", upgrade(key=b""), "400"),
    ("two keys", upgrade(key=KEY + KEY), "400"),
    ("a key in another case", upgrade(key=KEY.replace(b"Key", b"KEY")), "101"),
    *[(f"the key {key!r}", keyed(key), "400")
      for key in (b"", b"AQIDBAUGBwgJCgsMDQ4P", b"AQIDBAUGBwgJCgsMDQ4PEBE=", b"AQIDBAUGBwgJCgsMDQ4P??==",
                  b"AQIDBAUGBwgJCgsMDQ4PEA", b"AQIDBAUGBwgJCgsMDQ4PEA=", b"AQIDBAUGBwgJCgsMDQ4PEAA=", b"AQIDBAUGBwgJCgsMDQ4PEAAA",
                  b"AQIDBAUGBwgJCgsMDQ4P-_==", b"AQIDBAUGBwgJ CgsMDQ4PE==", b"AQIDBAUGBwgJCgsMDQ4PEA= =", b"A" * 30_000)],
    *[(f"the key {key!r}", keyed(key), "101")
      for key in (b"AQIDBAUGBwgJCgsMDQ4PEC==", b"AQIDBAUGBwgJCgsMDQ4PEB==", b"AQIDBAUGBwgJCgsMDQ4P//==", b"\t AQIDBAUGBwgJCgsMDQ4PEA== \t")],
    ("version 8", upgrade(requests=UPGRADE.replace(b"13", b"8")), "426"),
    ("version 13, 8", upgrade(requests=UPGRADE.replace(b"13", b"13, 8")), "426"),
    ("version 013", upgrade(requests=UPGRADE.replace(b"13", b"013")), "426"),
    ("version 13 twice", upgrade(requests=UPGRADE + VERSION), "400"),
    ("no version of WebSocket", upgrade(requests=UPGRADE.replace(VERSION, b"")), "400"),
    ("an upgrade to h2c", get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"), "200 200"),
    ("an upgrade to h2c at the socket", upgrade(requests=UPGRADE.replace(b"websocket", b"h2c")), "426 200"),
    ("an upgrade to websockets", upgrade(requests=UPGRADE.replace(b"websocket", b"websockets")), "426 200"),
    ("an upgrade to h2c or websocket", upgrade(requests=UPGRADE.replace(b"websocket", b"h2c, websocket")), "101"),
    ("Upgrade without Connection", upgrade(requests=UPGRADE.replace(b"Connection: Upgrade\r\n", b"")), "426 200"),
    ("Connection without Upgrade", upgrade(requests=UPGRADE.replace(b"Upgrade: websocket\r\n", b"")), "426 200"),
    ("Connection with only that prefix", upgrade(requests=UPGRADE.replace(b"Connection: Upgrade", b"Connection: Upgrades")), "426 200"),
    ("an upgrade of a path without a socket", upgrade(start=SOCKET.replace(b"/ws", b"/missing")), "404"),
    ("an upgrade at a page", upgrade(start=SOCKET.replace(b"/ws", b"/")), "404"),
    ("a request after a rejected upgrade", upgrade(start=SOCKET.replace(b"/ws", b"/missing")) + get(), "404"),
    ("a rejected upgrade after a request", get() + upgrade(start=SOCKET.replace(b"/ws", b"/missing")) + get(), "200 404"),
    ("a rejected upgrade after a delayed answer",
     line(b"GET /later HTTP/1.1") + upgrade(start=SOCKET.replace(b"/ws", b"/missing")) + get(), "200 404", b"later\n"),
    ("an upgrade after a delayed answer", line(b"GET /later HTTP/1.1") + upgrade(), "200 101", b"later\n"),
    ("an upgrade for another host", upgrade(start=SOCKET.replace(HOST, b"evil.test")), "421"),
    *[(f"an upgrade from {value!r}", upgrade(b"Origin: " + value), "403")
      for value in (b"http://evil.test", b"null", b"http://localhost:1", b"http://" + HOST + b".evil.test", b"file://", b"qrc://", b"",
                    b"http://app.localhost:%d" % URL.port, b"http://127.0.0.2:%d" % URL.port)],
    ("an upgrade from its own page", upgrade(b"Origin: http://" + HOST), "101"),
    *[(f"an upgrade from its own page, at {value!r}", upgrade(b"Origin: http://%s:%d" % (value, URL.port)), "101")
      for value in (b"localhost", b"[::1]")],
    ("an upgrade from two origins", upgrade(b"Origin: http://" + HOST, b"Origin: http://" + HOST), "400"),
    ("a subprotocol that is not a token", upgrade(b"Sec-WebSocket-Protocol: a b"), "400"),
    ("an unknown subprotocol", upgrade(b"Sec-WebSocket-Protocol: a, b"), "101"),
    ("subprotocols of 30 KiB of commas", upgrade(b"Sec-WebSocket-Protocol: " + b"," * 30_000 + b"a"), "101"),
    ("a subprotocol of 30 KiB of spaces", upgrade(b"Sec-WebSocket-Protocol: a" + b" " * 30_000 + b"b"), "400"),
    ("Connection in two lines", upgrade(requests=b"Connection: keep-alive\r\n" + UPGRADE), "101"),
    ("Connection that is a list", upgrade(requests=UPGRADE.replace(b"Connection: Upgrade", b"Connection: keep-alive , ,UPGRADE")), "101"),
    ("Connection and Upgrade in capitals", upgrade(requests=UPGRADE.replace(b"Upgrade: websocket", b"UPGRADE: WebSocket")), "101"),
]
