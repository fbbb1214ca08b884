"""Faults of processes and networks: no descriptor left, killed or stopped in the middle of a message, packets lost,
delayed, duplicated and reordered, and a peer that vanishes silently. For the adapter $ADAPTER as a server and as a
client."""

import os
import sys
import time
from pathlib import Path

from net import ADDRESSES, Net, Unavailable, Weather
from processes import CONTINUE, STOP, Asking, Client, Server, eventually

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import check, equal, finish, not_run  # noqa: E402

ADAPTER = os.environ["ADAPTER"]
MIB = 1 << 20
FOREVER = 1_000_000_000
# A client of the tests retries quickly.
LIVELY = "heartbeat=300/1000 close=1000"


class Honest:
    """A client that keeps running while others are in trouble; in a separate process, with its own count."""

    def __init__(self, server):
        self.asking = Asking(server.port)
        self.client = Client(ADAPTER, server.url, FOREVER, 10, 1)
        self.client.says("^open")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.client.is_running() and len(self.client.said("^open")) == 1, self.client.lines
        self.client.kill()

    def goes_on(self, times=50):
        wanted = self.asking.counts()["messages"] + times
        eventually(lambda: self.asking.counts()["messages"] >= wanted, "the honest client goes on")


# --- no descriptor left


def no_descriptors():
    """New connections wait in the kernel, and are served once there is room. Meanwhile existing ones are served, the
    failure is reported once, and nothing spins."""
    import socket

    with Server(ADAPTER, descriptors=40) as server, Honest(server) as honest:
        crowd = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(60)]
        for one in crowd:
            one.sendall(UPGRADE)
        server.says("^cannot accept: ")
        honest.goes_on()
        # The idle server does next to nothing: ten attempts a second, and their turns.
        honest.client.signal(STOP)
        before, ticks, started = honest.asking.counts(), server.ticks(), time.monotonic()
        while time.monotonic() - started < 1:
            time.sleep(0.1)
        after, seconds = honest.asking.counts(), time.monotonic() - started
        turns, busy = after["turns"] - before["turns"], server.ticks() - ticks
        assert turns < 20 + 40 * seconds, f"{turns} turns in {seconds:.1f} s"
        assert busy < 20 + 20 * seconds, f"{busy} hundredths of the processor's time in {seconds:.1f} s"
        equal(after["accept_failed"], 1)
        honest.client.signal(CONTINUE)
        # Accepted clients leave; waiting ones are accepted.
        served = [one for one in crowd if answered(one)]
        assert 20 <= len(served) < len(crowd), f"{len(served)} were accepted"
        for one in served:
            one.close()
        for one in crowd:
            if one not in served:
                assert one.recv(100).startswith(b"HTTP/1.1 101 ")
        honest.goes_on()
        for one in crowd:
            one.close()


UPGRADE = (b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n")


def answered(one):
    """Whether any input is available."""
    one.setblocking(False)
    try:
        return bool(one.recv(1))
    except BlockingIOError:
        return False
    finally:
        one.settimeout(60)


# --- killed, or stopped


def a_server_that_is_killed():
    """In the middle of messages, five times: its client notices each time, reconnects, and loses nothing that had come
    back."""
    server = Server(ADAPTER)
    with Client(ADAPTER, server.url, 60, 2 * MIB, 4) as client:
        for time_ in range(1, 6):
            client.says("^open", time_)
            asking = Asking(server.port)
            eventually(lambda: asking.counts()["messages"] >= 5, "messages")
            server.kill()
            client.says("^ended by ", time_)
            if time_ == 5:
                client.says("^failed: .*refused")
            server = Server(ADAPTER, port=server.port)
        equal(client.ends(), 0)
        equal((len(client.said("^open")), len(client.said("^ended by ")), len(client.said("^done$"))), (6, 5, 1))
        acknowledged = [int(line.split()[1]) for line in client.said("^open")]
        equal(acknowledged, sorted(acknowledged))
        assert acknowledged[-1] > 0, "nothing had come back"
    server.kill()


def clients_that_are_killed():
    """In the middle of messages: the server reports the close of each, once, and keeps nothing of it."""
    with Server(ADAPTER) as server, Honest(server) as honest:
        descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        for _ in range(3):
            clients = [Client(ADAPTER, server.url, FOREVER, MIB, 4) for _ in range(5)]
            for client in clients:
                client.says("^open")
            before = honest.asking.counts()["messages"]
            eventually(lambda: honest.asking.counts()["messages"] > before + 50, "messages")
            for client in clients:
                client.kill()
        eventually(lambda: honest.asking.counts()["ended"] == 15, "each close is reported")
        equal(honest.asking.counts()["opened"], 16)
        eventually(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) == descriptors, "no descriptor leaked")
        honest.goes_on()
        server.says("^ended by ", 15)


def a_client_that_is_stopped():
    """It stops reading, though its kernel answers for it: the server closes it, and serves other clients. Awake again,
    it notices and reconnects."""
    with Server(ADAPTER, "output=1000 close=1000") as server, Honest(server) as honest:
        with Client(ADAPTER, server.url.replace("/ws", "/talk"), FOREVER, 10, 1) as client:
            client.says("^open")
            client.signal(STOP)
            server.says("^ended by us: the peer stopped reading what was sent to it")
            honest.goes_on()
            client.signal(CONTINUE)
            client.says("^open", 2)
            equal(len(client.said("^ended by ")), 1)


def a_server_that_is_stopped():
    """Its kernel answers for it: the client notices by its heartbeat, and reconnects when the server is back."""
    with Server(ADAPTER) as server, Client(ADAPTER, server.url, 2000, 10, 1, LIVELY) as client:
        asking = Asking(server.port)
        client.says("^open")
        eventually(lambda: asking.counts()["messages"] > 5, "messages")
        server.signal(STOP)
        client.says("the peer did not answer the heartbeat")
        server.signal(CONTINUE)
        client.says("^open", 2)
        equal(client.ends(), 0)
        eventually(lambda: asking.counts()["ended"] == 2, "the server reports both")


# --- a bad network


def over(net, options=LIVELY, path="/ws", count=400, size=2000, window=16):
    server = Server(ADAPTER, f"bind=any {options}", inside=net.inside(0))
    url = f"ws://{ADDRESSES[0]}:{server.port}{path}"
    return server, Client(ADAPTER, url, count, size, window, options, inside=net.inside(1))


def bad_weather(net):
    """Of 400 messages, none is lost, duplicated or out of order, and the connection lives."""
    net.weather = Weather(lost=5, doubled=3, least_delay=0.001, most_delay=0.02)
    server, client = over(net, options="")
    with server, client:
        equal(client.ends(), 0)
        equal((len(client.said("^open")), len(client.said("^done$"))), (1, 1))
        server.says("closed the connection: 1000")
    assert min(net.lost, net.doubled, net.swapped) >= 10, f"{net.lost} lost, {net.doubled} doubled, {net.swapped} swapped"


def a_storm(net):
    """The network is gone for a while, repeatedly. What had come back is not sent again; all comes back in the end."""
    gone = "^ended by us: the peer (did not answer the heartbeat|stopped reading)"
    net.weather = Weather(lost=1, least_delay=0.001, most_delay=0.004)
    server, client = over(net, count=3000, window=4)
    with server, client:
        for times in range(1, 4):
            client.says("^open", times)
            passed = net.passed
            eventually(lambda: net.passed > passed + 50 or not client.is_running(), "packets")
            assert client.is_running(), f"it was done before: {client.lines}"
            net.hole = True
            client.says(gone, times)
            server.says(gone, times)
            net.hole = False
        equal(client.ends(), 0)
        equal((len(client.said("^open")), len(client.said("^done$")), len(server.said(gone))), (4, 1, 3))


def a_black_hole(net, path, says, options):
    """A peer that vanishes silently, while idle or while receiving: both sides notice."""
    server, client = over(net, options, path, count=1 if path == "/talk" else FOREVER, window=1)
    with server, client:
        client.says("^open")
        eventually(lambda: net.passed > 20, "packets")
        net.hole = True
        server.says(says)
        client.says("^ended by us: the peer did not answer the heartbeat")


NETWORK = [
    ("packets lost, delayed, duplicated and reordered", bad_weather),
    ("a network that is gone for a while, repeatedly", a_storm),
    ("a peer in a black hole is found by the heartbeat", a_black_hole, "/ws", "the peer did not answer the heartbeat", LIVELY),
    ("a peer in a black hole is found by the output deadline while receiving", a_black_hole, "/talk",
     "the peer stopped reading what was sent to it", "heartbeat=500/1000 output=1000 close=1000"),
]


def main():
    check("no descriptor left", no_descriptors)
    check("a server that is killed", a_server_that_is_killed)
    check("clients that are killed", clients_that_are_killed)
    check("a client that is stopped", a_client_that_is_stopped)
    check("a server that is stopped", a_server_that_is_stopped)
    try:
        nets = [Net(f"{ADAPTER}{seed}", seed) for seed in range(len(NETWORK))]
    except Unavailable as why:
        for name, *_ in NETWORK:
            not_run(name, why)
    else:
        for net, (name, body, *arguments) in zip(nets, NETWORK):
            with net:
                check(name, body, net, *arguments)
    finish(f"faults, {ADAPTER}")


main()
