"""`websockets` from PyPI as a client of the recorder at $WS_URL; with `server`, as a server of the recorder $RECORDER."""

import os
import subprocess
import sys
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve


def connected():
    return connect(os.environ["WS_URL"] + "/chat", subprotocols=["chat"], proxy=None)


def exchange(socket):
    for message in ["hello", b"\xa5" * 300, "gr\u00fc\u00df dich \U0001f600", "", ["one ", "", "two"]]:
        socket.send(message)
        socket.recv()
    socket.ping(b"are you there").wait()


def client():
    with connected() as socket:
        exchange(socket)
        socket.close(4001, "that was all")
    with connected() as socket:
        exchange(socket)
        socket.send("close")  # makes the server close
        for _ in socket:
            pass


def echo(socket):
    try:
        for message in socket:
            socket.send(message)
    except ConnectionClosed:
        pass  # the client closes without waiting for its last echo


def server():
    with serve(echo, "127.0.0.1", 0, subprotocols=["chat"]) as listener:
        threading.Thread(target=listener.serve_forever).start()
        url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/chat"
        subprocess.run([os.environ["RECORDER"], url], check=True)
        listener.shutdown()


server() if sys.argv[1:] == ["server"] else client()
