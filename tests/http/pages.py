"""Tests the http example at $HTTP_URL as a browser and a program use it: page, folder, JSON, events, delayed responses."""

import http.client
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import check, finish  # noqa: E402

URL = urlsplit(os.environ["HTTP_URL"])
GUARD = 30  # seconds until a connection counts as hung


def request(method, path, body=None, **fields):
    connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=GUARD)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in fields.items()})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content


def page():
    status, fields, content = request("GET", "/")
    assert (status, fields["Content-Type"]) == (200, "text/html; charset=utf-8"), (status, fields)
    assert fields["X-Content-Type-Options"] == "nosniff" and b"<title>HTTP</title>" in content
    assert "Access-Control-Allow-Origin" not in fields
    status, _, content = request("GET", "/", If_None_Match=fields["ETag"])
    assert (status, content) == (304, b""), status


def head():
    _, whole, content = request("GET", "/")
    status, fields, nothing = request("HEAD", "/")
    assert (status, nothing) == (200, b"") and fields["Content-Length"] == str(len(content))
    assert fields["ETag"] == whole["ETag"]


def folder():
    _, whole, content = request("GET", "/files/Cargo.toml")
    status, fields, part = request("GET", "/files/Cargo.toml", Range="bytes=1-9", If_Range=whole["ETag"])
    assert (status, part) == (206, content[1:10]), (status, part)
    assert fields["Content-Range"] == f"bytes 1-9/{len(content)}"
    assert request("GET", "/files/Cargo.toml", Range="bytes=1-9", If_Range='"other"')[0] == 200
    assert request("GET", "/files/Cargo.toml", Range=f"bytes={len(content)}-")[0] == 416
    assert request("GET", "/files/Cargo.toml", If_Modified_Since=whole["Last-Modified"])[0] == 304
    for path in ("/files/.git/config", "/files/../Cargo.toml", "/files/%2e%2e/", "/files/nothing"):
        assert request("GET", path)[0] == 404, path


def methods():
    status, fields, _ = request("DELETE", "/api/sum")
    assert (status, fields["Allow"]) == (405, "POST, OPTIONS"), (status, fields)
    status, fields, content = request("OPTIONS", "/healthz")
    assert (status, fields["Allow"], content) == (204, "GET, HEAD, OPTIONS", b"")
    status, _, content = request("GET", "/nowhere%3Cscript%3E")
    assert status == 404 and content and b"<script>" not in content


def data():
    assert json.loads(request("GET", "/api/greet/J%C3%BCrgen")[2]) == {"hello": "Jürgen"}
    status, fields, content = request("POST", "/api/sum", "[1, 2.5]", Content_Type="application/json; charset=utf-8")
    assert (status, content, fields["Content-Type"]) == (200, b"3.5", "application/json")
    assert request("POST", "/api/sum", "[1,", Content_Type="application/json")[0] == 400
    status, fields, _ = request("POST", "/api/sum", "[1]", Content_Type="text/plain")
    assert (status, fields["Accept"]) == (415, "application/json")
    assert request("POST", "/api/sum", b" " * (1 << 20) + b"[]", Content_Type="application/json")[0] == 413
    assert request("POST", "/api/sum", "[]", Content_Type="application/json", Origin="http://evil.test")[0] == 403


def later():
    status, _, content = request("GET", "/later")
    assert (status, content) == (200, b"better late than never\n")
    assert request("GET", "/healthz")[2] == b"ok\n"


def events():
    connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=GUARD)
    connection.request("GET", "/clock")
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "text/event-stream"
    for _ in range(2):
        lines = [response.readline() for _ in range(3)]
        assert lines[0] == b"event: tick\n" and lines[1].startswith(b"data: ") and lines[2] == b"\n", lines
    connection.close()


for case in (page, head, folder, methods, data, later, events):
    check(case.__name__, case)

finish("HTTP pages")
