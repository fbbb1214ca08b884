"""`websockets` from PyPI as a server, with the client example as its client."""

import http
import queue
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.server import serve

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import SIZES, check, equal, finish, text_of  # noqa: E402
from command_line import GUARD, Client  # noqa: E402


def echo(socket):
    for message in socket:
        socket.send(message)


def echo_server(port):
    """The server that is killed and restarted: prints its port, and echoes."""
    with serve(echo, "127.0.0.1", port) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


@contextmanager
def serving(handler, **options):
    with serve(handler, "127.0.0.1", 0, max_size=None, close_timeout=GUARD, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        server.shutdown()
        thread.join(GUARD)


def sizes(compression):
    offer = "a server that would compress" if compression else "a server that never compresses"
    with serving(echo, compression=compression) as url, Client(url) as client:
        client.wait_for("connected")
        for size in SIZES:
            check(f"text of {size} bytes is echoed, {offer}", is_echoed, client, text_of(size))
        check(f"the end of the input closes cleanly, {offer}", lambda: equal(client.close_input(), 0))


def is_echoed(client, text):
    client.type(text)
    assert client.line() == text, "another text was echoed"


def run_exchange(handler, *arguments, **options):
    """Runs `handler(socket)` on the server; returns its result, the client's output, and its status."""
    results = queue.Queue()

    def handle(socket):
        try:
            results.put(handler(socket))
        except Exception as error:  # the failure of this check
            results.put(error)

    with serving(handle, **options) as url, Client(url, "--once", *arguments) as client:
        result = results.get(timeout=GUARD)
        if isinstance(result, Exception):
            raise result
        return result, client.wait_for("closed the connection"), client.status(), client


def fragments():
    *_, client = run_exchange(lambda socket: socket.send(["one ", "", "two"]))
    equal(client.line(), "one two")


def binary():
    *_, client = run_exchange(lambda socket: socket.send(bytes(range(20))))
    start = ", ".join(f"{byte:02x}" for byte in range(16))
    equal(client.line(), f"20 bytes [{start}]")


def ping():
    assert run_exchange(lambda socket: socket.ping(b"are you there").wait(GUARD))[0], "no pong"


def subprotocol():
    offers = ("--subprotocol", "one", "--subprotocol", "two")
    chosen, *_ = run_exchange(lambda socket: socket.subprotocol, *offers, subprotocols=["two"])
    equal(chosen, "two")


def closing(code, reason, status):
    def close(socket):
        socket.close(code, reason)
        return socket.protocol.close_rcvd.code

    echoed, sentence, ended, _ = run_exchange(close)
    equal((echoed, ended), (code, status))
    assert str(code) in sentence and reason in sentence, sentence


def rejection():
    def reject(socket, request):
        equal(request.headers["Authorization"], "Bearer 0123")
        return socket.respond(http.HTTPStatus.FORBIDDEN, "not with this token\n")

    with serving(echo, process_request=reject) as url:
        with Client(url, "--header", "Authorization: Bearer 0123") as client:
            client.wait_for("403 Forbidden")
            client.wait_for("not with this token")
            equal(client.status(), 1)


def killed():
    def started(port):
        command = [sys.executable, __file__, str(port)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return process, int(process.stdout.readline())

    server, port = started(0)
    with Client(f"ws://127.0.0.1:{port}/") as client:
        for round in range(3):
            client.wait_for("connected")
            is_echoed(client, f"round {round}")
            server.kill()
            server.wait()
            client.wait_for("again in")
            client.wait_for("cannot connect")  # no server yet
            client.type("typed while disconnected")
            server, port = started(port)
            equal(client.line(), "typed while disconnected")
        client.wait_for("connected")
        equal(client.close_input(), 0)
    server.kill()


if len(sys.argv) > 1:
    echo_server(int(sys.argv[1]))

for compression in (None, "deflate"):
    sizes(compression)
check("a fragmented message is reassembled", fragments)
check("a binary message is printed", binary)
check("a ping is answered with its payload", ping)
check("the server selects a subprotocol", subprotocol)
for code, reason, status in (
    (1000, "", 0),
    (1000, "done", 0),
    (1011, "", 1),
    (4001, "caf\u00e9 ferm\u00e9", 1),
):
    check(f"close {code} '{reason}' is echoed, reported, and ends with {status}", closing, code, reason, status)
check("a rejection is reported, and the client exits", rejection)
check("the client and its lines return to a server that restarts three times", killed)

finish("websockets from PyPI as a server")
