"""Tests an endpoint in another library's event loop, at $PORT: it serves, and a flood does not delay the loop's own
timer, whose count is at /ticks."""

import http.client
import os
import sys
import threading
import time
from pathlib import Path

from websockets.sync.client import connect

here = Path(__file__).resolve().parent
sys.path[:0] = [str(here.parent), str(here.parent / "hostile")]
from check import check, equal, finish  # noqa: E402
from peer import TEXT, Peer, frame  # noqa: E402

PORT = int(os.environ["PORT"])
GUARD = 120  # seconds until a check counts as hung
PEERS = 8
TICKS = 180  # three seconds of frames on a fast machine
FLOOD = 100_000  # the minimum that each peer sends meanwhile


def get(path):
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=GUARD)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    equal(response.status, 200)
    return body


def connected():
    return connect(os.environ["WS_URL"] + "/", open_timeout=GUARD, close_timeout=GUARD, proxy=None)


def page():
    assert "new WebSocket" in get("/")


def echo():
    messages = [f"message {k}" for k in range(5000)]
    with connected() as socket:
        sender = threading.Thread(target=lambda: [socket.send(message) for message in messages], daemon=True)
        sender.start()
        for message in messages:
            equal(socket.recv(timeout=GUARD), message)
        sender.join()


class Flood:
    """Sends as fast as the server reads, and counts the echoes."""

    CHUNK = frame(TEXT, b"flood") * 5000
    ECHO = len(frame(TEXT, b"flood", mask=False))

    def __init__(self):
        self.peer, self.received, self.stopped = Peer(), 0, False
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.send, self.receive)]
        for thread in self.threads:
            thread.start()

    def send(self):
        while not self.stopped:
            self.peer.send(self.CHUNK)

    def receive(self):
        while part := self.peer.socket.recv(1 << 20):
            self.received += len(part)

    def messages(self):
        return self.received // self.ECHO


def ticks():
    return int(get("/ticks"))


def timer_keeps_running():
    first = ticks()
    end = time.monotonic() + GUARD
    floods = [Flood() for _ in range(PEERS)]
    echoes = 0
    with connected() as honest:
        while ticks() < first + TICKS or min(flood.messages() for flood in floods) < FLOOD:
            honest.send("honest")
            equal(honest.recv(timeout=GUARD), "honest")
            echoes += 1
            counts = [flood.messages() for flood in floods]
            assert time.monotonic() < end, f"{ticks() - first} ticks, {counts} of the flood echoed"
    for flood in floods:
        flood.stopped = True
    counts = sum(flood.messages() for flood in floods)
    print(f"      {counts} flood messages and {echoes} honest ones echoed in {ticks() - first} ticks")


name = sys.argv[1]
check("the page is served", page)
check("5,000 messages come back in order", echo)
check("the loop's timer keeps running while peers flood", timer_keeps_running)
finish(f"the endpoint in {name}")
