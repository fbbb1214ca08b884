"""`websockets` from PyPI as a client of the echo example at $WS_URL."""

import os
import sys
from pathlib import Path

from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import SIZES, check, equal, finish, text_of  # noqa: E402

URL = os.environ["WS_URL"] + "/"
GUARD = 60  # seconds until a check counts as hung


def connected(**options):
    return connect(URL, max_size=None, open_timeout=GUARD, close_timeout=GUARD, proxy=None, **options)


def echo(socket, message):
    socket.send(message)
    answer = socket.recv(timeout=GUARD)
    assert type(answer) is type(message), f"a {type(answer).__name__} was echoed"
    assert answer == message, f"{len(answer)} other bytes were echoed"


def fragments():
    with connected() as socket:
        socket.send(["one ", "", "two"])
        equal(socket.recv(timeout=GUARD), "one two")


def ping():
    with connected() as socket:
        assert socket.ping(b"are you there").wait(GUARD), "no pong"


def subprotocol(offered):
    with connected(subprotocols=offered) as socket:
        equal(socket.subprotocol, None)


def closing(code, reason):
    with connected() as socket:
        socket.close(code, reason)
        received = socket.protocol.close_rcvd
        equal((received.code, received.reason in ("", reason)), (code, True))


for compression in (None, "deflate"):
    offer = "compression offered" if compression else "no compression"
    with connected(compression=compression) as socket:
        for size in SIZES:
            check(f"text of {size} bytes, {offer}", echo, socket, text_of(size))
            check(f"binary of {size} bytes, {offer}", echo, socket, b"\xa5" * size)
        check(f"binary of every byte, {offer}", echo, socket, bytes(range(256)))

check("a fragmented message is echoed whole", fragments)
check("a ping is answered with its payload", ping)
check("no subprotocol when none is offered", subprotocol, None)
check("no subprotocol when only an unknown one is offered", subprotocol, ["unknown"])
for code, reason in ((1000, ""), (1000, "done"), (4001, "caf\u00e9 ferm\u00e9")):
    check(f"close {code} '{reason}' is echoed", closing, code, reason)

finish("websockets from PyPI")
