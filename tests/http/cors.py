"""Tests a server at $HTTP_URL that requires a token and allows one other origin (see run.sh): the responses to pages of
that origin, to pages of other origins and to programs."""

import http.client
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import check, equal, finish  # noqa: E402

URL = urlsplit(os.environ["HTTP_URL"])
GUARD = 30  # seconds until a connection counts as hung
DEV, EVIL = "http://dev.test:5173", "http://evil.test"
TOKEN = {"Authorization": "Bearer BwcHBwcHBwcHBwcHBwcHBw"}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AQIDBAUGBwgJCgsMDQ4PEC==",
}


class Requests:
    """One connection that carries one request after another."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=GUARD)

    def __call__(self, method, path, origin=None, body=None, **fields):
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        if origin:
            fields = {"Origin": origin, **fields}
        self.connection.request(method, path, body, fields)
        response = self.connection.getresponse()
        response.read()
        return response.status, response.headers


def request(*arguments, **fields):
    return Requests()(*arguments, **fields)


def assert_allowed(headers, origin):
    """Asserts that only a page of this origin may read the response."""
    equal(headers.get_all("Access-Control-Allow-Origin"), [origin])
    equal(headers.get_all("Access-Control-Allow-Credentials"), ["true"])
    assert "origin" in headers.get("Vary", "").lower(), headers


def assert_not_allowed(headers):
    names = [name for name in headers if name.lower().startswith("access-control-")]
    equal(names, [])


def preflight(origin, request=request, **fields):
    headers = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,x-mine"}
    return request("OPTIONS", "/echo", origin, **headers, **fields)


def a_preflight_of_an_allowed_origin_needs_no_token():
    requests = Requests()
    status, headers = preflight(DEV, requests)
    equal(status, 204)
    assert_allowed(headers, DEV)
    equal(headers["Access-Control-Allow-Methods"], "PUT")
    equal(headers["Access-Control-Allow-Headers"], "authorization,x-mine")
    status, headers = requests("GET", "/", DEV)
    equal(status, 401)
    assert_allowed(headers, DEV)


def a_preflight_of_another_origin_gets_no_cors_fields():
    status, headers = preflight(EVIL)
    equal(status, 204)
    assert_not_allowed(headers)


def a_preflight_for_another_host_is_rejected():
    status, headers = preflight(DEV, Host="evil.test")
    equal(status, 421)
    assert_not_allowed(headers)


def an_ordinary_options_needs_the_token():
    equal(request("OPTIONS", "/echo", DEV)[0], 401)
    equal(request("OPTIONS", "/echo", Access_Control_Request_Method="PUT")[0], 401)
    equal(request("OPTIONS", "/echo", DEV, **TOKEN)[0], 204)


def all_other_requests_need_the_token():
    for origin in (None, EVIL):
        status, headers = request("GET", "/", origin)
        equal(status, 401)
        assert_not_allowed(headers)


def a_body_without_the_token_is_not_awaited():
    for framing in ({"Content_Length": "5"}, {"Transfer_Encoding": "chunked"}):
        for expectation in ({}, {"Expect": "100-continue"}):
            status, headers = request("POST", "/echo", **framing, **expectation)
            equal((status, headers["Connection"]), (401, "close"))


def an_allowed_page_may_read_and_change():
    for method, body in (("GET", None), ("POST", b"hello")):
        status, headers = request(method, "/echo" if body else "/", DEV, body, **TOKEN)
        equal(status, 200)
        assert_allowed(headers, DEV)


def a_foreign_page_may_neither_read_nor_change():
    status, headers = request("GET", "/", EVIL, **TOKEN)
    equal(status, 200)
    assert_not_allowed(headers)
    status, headers = request("POST", "/echo", EVIL, b"hello", **TOKEN)
    equal(status, 403)
    assert_not_allowed(headers)


def an_allowed_page_may_read_automatic_rejections():
    status, headers = request("POST", "/echo", DEV, None, Content_Length=str(2 << 20), **TOKEN)
    equal(status, 413)
    assert_allowed(headers, DEV)
    status, headers = request("GET", "/", DEV, X_Long="a" * (32 << 10), **TOKEN)
    equal(status, 431)
    assert_allowed(headers, DEV)
    status, headers = request("GET", "/never", DEV, **TOKEN)
    equal(status, 503)
    assert_allowed(headers, DEV)


def a_foreign_page_may_not_read_automatic_rejections():
    assert_not_allowed(request("POST", "/echo", EVIL, None, Content_Length=str(2 << 20), **TOKEN)[1])
    assert_not_allowed(request("GET", "/", EVIL, X_Long="a" * (32 << 10), **TOKEN)[1])
    assert_not_allowed(request("GET", "/never", EVIL, **TOKEN)[1])


def only_an_allowed_page_may_open_a_socket():
    equal(request("GET", "/ws", DEV, **UPGRADE, **TOKEN)[0], 101)
    status, headers = request("GET", "/ws", EVIL, **UPGRADE, **TOKEN)
    equal((status, headers["Connection"]), (403, "close"))
    assert_not_allowed(headers)
    status, headers = request("GET", "/ws", DEV, **UPGRADE)
    equal((status, headers["Connection"]), (401, "close"))


def a_non_utf8_cookie_hides_no_other():
    cookie = f"name=Zo\u00eb; ws_token_{URL.port}=BwcHBwcHBwcHBwcHBwcHBw; other=\u00ff"
    equal(request("GET", "/", Cookie=cookie)[0], 200)


for case in (
    a_preflight_of_an_allowed_origin_needs_no_token, a_preflight_of_another_origin_gets_no_cors_fields,
    a_preflight_for_another_host_is_rejected, an_ordinary_options_needs_the_token, all_other_requests_need_the_token,
    a_body_without_the_token_is_not_awaited, an_allowed_page_may_read_and_change, a_foreign_page_may_neither_read_nor_change,
    an_allowed_page_may_read_automatic_rejections, a_foreign_page_may_not_read_automatic_rejections, only_an_allowed_page_may_open_a_socket,
    a_non_utf8_cookie_hides_no_other,
):
    check(case.__name__.replace("_", " "), case)
finish("pages of other origins")
