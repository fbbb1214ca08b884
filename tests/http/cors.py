"""A test server at $HTTP_URL that requires a token and lets pages of one other origin read its answers (see run.sh):
the answers to those pages, to pages of other origins and to programs."""

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


class Asked:
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


def ask(*arguments, **fields):
    return Asked()(*arguments, **fields)


def granted(headers, origin):
    """Whether a page of this origin, and no other, may read the answer."""
    equal(headers.get_all("Access-Control-Allow-Origin"), [origin])
    equal(headers.get_all("Access-Control-Allow-Credentials"), ["true"])
    assert "origin" in headers.get("Vary", "").lower(), headers


def withheld(headers):
    names = [name for name in headers if name.lower().startswith("access-control-")]
    equal(names, [])


def preflight(origin, ask=ask, **fields):
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,x-mine"}
    return ask("OPTIONS", "/echo", origin, **asked, **fields)


def a_preflight_of_an_allowed_origin_needs_no_token():
    asked = Asked()
    status, headers = preflight(DEV, asked)
    equal(status, 204)
    granted(headers, DEV)
    equal(headers["Access-Control-Allow-Methods"], "PUT")
    equal(headers["Access-Control-Allow-Headers"], "authorization,x-mine")
    status, headers = asked("GET", "/", DEV)
    equal(status, 401)
    granted(headers, DEV)


def a_preflight_of_another_origin_is_granted_nothing():
    status, headers = preflight(EVIL)
    equal(status, 204)
    withheld(headers)


def a_preflight_for_another_host_is_refused():
    status, headers = preflight(DEV, Host="evil.test")
    equal(status, 421)
    withheld(headers)


def an_ordinary_options_needs_the_token():
    equal(ask("OPTIONS", "/echo", DEV)[0], 401)
    equal(ask("OPTIONS", "/echo", Access_Control_Request_Method="PUT")[0], 401)
    equal(ask("OPTIONS", "/echo", DEV, **TOKEN)[0], 204)


def the_token_is_required_of_everybody_else():
    for origin in (None, EVIL):
        status, headers = ask("GET", "/", origin)
        equal(status, 401)
        withheld(headers)


def an_allowed_page_reads_and_changes():
    for method, body in (("GET", None), ("POST", b"hello")):
        status, headers = ask(method, "/echo" if body else "/", DEV, body, **TOKEN)
        equal(status, 200)
        granted(headers, DEV)


def a_foreign_page_reads_nothing_and_changes_nothing():
    status, headers = ask("GET", "/", EVIL, **TOKEN)
    equal(status, 200)
    withheld(headers)
    status, headers = ask("POST", "/echo", EVIL, b"hello", **TOKEN)
    equal(status, 403)
    withheld(headers)


def an_allowed_page_may_read_what_the_server_refuses_by_itself():
    status, headers = ask("POST", "/echo", DEV, None, Content_Length=str(2 << 20), **TOKEN)
    equal(status, 413)
    granted(headers, DEV)
    status, headers = ask("GET", "/", DEV, X_Long="a" * (32 << 10), **TOKEN)
    equal(status, 431)
    granted(headers, DEV)
    status, headers = ask("GET", "/never", DEV, **TOKEN)
    equal(status, 503)
    granted(headers, DEV)


def a_foreign_page_may_not():
    withheld(ask("POST", "/echo", EVIL, None, Content_Length=str(2 << 20), **TOKEN)[1])
    withheld(ask("GET", "/", EVIL, X_Long="a" * (32 << 10), **TOKEN)[1])
    withheld(ask("GET", "/never", EVIL, **TOKEN)[1])


def only_an_allowed_page_opens_a_socket():
    equal(ask("GET", "/ws", DEV, **UPGRADE, **TOKEN)[0], 101)
    status, headers = ask("GET", "/ws", EVIL, **UPGRADE, **TOKEN)
    equal((status, headers["Connection"]), (403, "close"))
    withheld(headers)
    status, headers = ask("GET", "/ws", DEV, **UPGRADE)
    equal((status, headers["Connection"]), (401, "close"))


def a_cookie_beside_one_that_is_no_text_counts():
    cookie = f"name=Zo\u00eb; ws_token_{URL.port}=BwcHBwcHBwcHBwcHBwcHBw; other=\u00ff"
    equal(ask("GET", "/", Cookie=cookie)[0], 200)


for case in (
    a_preflight_of_an_allowed_origin_needs_no_token, a_preflight_of_another_origin_is_granted_nothing,
    a_preflight_for_another_host_is_refused, an_ordinary_options_needs_the_token, the_token_is_required_of_everybody_else,
    an_allowed_page_reads_and_changes, a_foreign_page_reads_nothing_and_changes_nothing,
    an_allowed_page_may_read_what_the_server_refuses_by_itself, a_foreign_page_may_not, only_an_allowed_page_opens_a_socket,
    a_cookie_beside_one_that_is_no_text_counts,
):
    check(case.__name__.replace("_", " "), case)
finish("pages of other origins")
