"""`websockets` from PyPI: a client of each given URL or, without URLs, a server."""

import sys
import threading

import websockets
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect
from websockets.sync.server import serve

DONE = 1000
ended = ""
one_at_a_time = threading.Lock()  # the next connection reports how this one ended


def follow(socket):
    """Reads until the end; returns its code."""
    global ended
    extensions = ", ".join(extension.name for extension in socket.protocol.extensions)
    hello = f"hello\nversion: {websockets.__version__}\nsubprotocol: {socket.subprotocol or ''}"
    try:
        socket.send(f"{hello}\nextensions: {extensions}\n{ended}")
        while True:
            execute(socket, socket.recv())
    except ConnectionClosed:
        pass
    code, reason = socket.close_code, socket.close_reason
    ended = f"ended: {code} {reason}"
    return code


def execute(socket, message):
    command, _, rest = message.partition(" ") if isinstance(message, str) else ("", "", "")
    if command == "/close":
        code, _, reason = rest.partition(" ")
        socket.close(int(code), reason)
    elif command == "/ping":
        socket.ping(rest).wait()
        socket.send(f"/pong {rest}")
    elif command == "/ticks":
        for _ in range(int(rest)):
            socket.send(["tick"])  # the last frame of an iterable is empty
    elif command == "/fragments":
        socket.send(["one ", "", "two"])
    else:
        socket.send(message)


def client(url):
    origin = url.replace("ws://", "http://").rstrip("/")  # the origin of that server's page
    while True:
        try:
            with connect(url, origin=origin, subprotocols=["matrix"], max_size=None, proxy=None) as socket:
                code = follow(socket)
        except (OSError, InvalidHandshake):
            return  # no server left
        if code == DONE:
            return


def server():
    def handle(socket):
        with one_at_a_time:
            follow(socket)

    with serve(handle, "127.0.0.1", 0, subprotocols=["matrix"], max_size=None) as listening:
        print(f"ws://127.0.0.1:{listening.socket.getsockname()[1]}/", flush=True)
        listening.serve_forever()


if len(sys.argv) == 1:
    server()
for url in sys.argv[1:]:
    client(url)
