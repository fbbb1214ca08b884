"""Faults of processes and networks: no descriptor left, a process killed or stopped in the middle of a message, packets
lost, delayed, duplicated and reordered, and a peer that vanishes silently. Tests the adapter $ADAPTER as a server and
as a client."""

import os
import sys
import time
from pathlib import Path

from net import ADDRESSES, Net, Unavailable, Conditions
from processes import CONTINUE, STOP, CountsClient, Client, Server, eventually

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import check, equal, finish, not_run  # noqa: E402

ADAPTER = os.environ["ADAPTER"]
MIB = 1 << 20
FOREVER = 1_000_000_000
# The test clients retry quickly.
FAST = "heartbeat=300/1000 close=1000"


class Honest:
    """A client in a separate process that must keep running while others fail."""

    def __init__(self, server):
        self.counts_client = CountsClient(server.port)
        self.client = Client(ADAPTER, server.url, FOREVER, 10, 1)
        self.client.wait_for("^open")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        assert self.client.is_running() and len(self.client.matching("^open")) == 1, self.client.lines
        self.client.kill()

    def continues(self, times=50):
        wanted = self.counts_client.counts()["messages"] + times
        eventually(lambda: self.counts_client.counts()["messages"] >= wanted, "the honest client continues")


# --- no descriptor left


def no_descriptors():
    """New connections wait in the kernel, and are served once there is room. Meanwhile existing ones are served, the
    failure is reported once, and nothing spins."""
    import socket

    with Server(ADAPTER, descriptors=40) as server, Honest(server) as honest:
        crowd = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(60)]
        for peer in crowd:
            peer.sendall(UPGRADE)
        server.wait_for("^cannot accept: ")
        honest.continues()
        # The idle server makes only ten attempts a second, and their turns.
        honest.client.signal(STOP)
        before, ticks, started = honest.counts_client.counts(), server.ticks(), time.monotonic()
        while time.monotonic() - started < 1:
            time.sleep(0.1)
        after, seconds = honest.counts_client.counts(), time.monotonic() - started
        turns, busy = after["turns"] - before["turns"], server.ticks() - ticks
        assert turns < 20 + 40 * seconds, f"{turns} turns in {seconds:.1f} s"
        assert busy < 20 + 20 * seconds, f"{busy} hundredths of a second of CPU time in {seconds:.1f} s"
        equal(after["accept_failed"], 1)
        honest.client.signal(CONTINUE)
        # Accepted clients leave; waiting ones are accepted.
        served = [peer for peer in crowd if has_input(peer)]
        assert 20 <= len(served) < len(crowd), f"{len(served)} were accepted"
        for peer in served:
            peer.close()
        for peer in crowd:
            if peer not in served:
                assert peer.recv(100).startswith(b"HTTP/1.1 101 ")
        honest.continues()
        for peer in crowd:
            peer.close()


UPGRADE = (b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n")


def has_input(peer):
    """Whether any input is available."""
    peer.setblocking(False)
    try:
        return bool(peer.recv(1))
    except BlockingIOError:
        return False
    finally:
        peer.settimeout(60)


# --- killed, or stopped


def a_server_that_is_killed():
    """In the middle of messages, five times: its client detects it each time, reconnects, and loses no echo that it had
    received."""
    server = Server(ADAPTER)
    with Client(ADAPTER, server.url, 60, 2 * MIB, 4) as client:
        for attempt in range(1, 6):
            client.wait_for("^open", attempt)
            counts_client = CountsClient(server.port)
            eventually(lambda: counts_client.counts()["messages"] >= 5, "messages")
            server.kill()
            client.wait_for("^ended by ", attempt)
            if attempt == 5:
                client.wait_for("^failed: .*refused")
            server = Server(ADAPTER, port=server.port)
        equal(client.wait_exit(), 0)
        equal((len(client.matching("^open")), len(client.matching("^ended by ")), len(client.matching("^done$"))), (6, 5, 1))
        acknowledged = [int(line.split()[1]) for line in client.matching("^open")]
        equal(acknowledged, sorted(acknowledged))
        assert acknowledged[-1] > 0, "no echo was received"
    server.kill()


def clients_that_are_killed():
    """In the middle of messages: the server reports each close once, and frees everything."""
    with Server(ADAPTER) as server, Honest(server) as honest:
        descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        for _ in range(3):
            clients = [Client(ADAPTER, server.url, FOREVER, MIB, 4) for _ in range(5)]
            for client in clients:
                client.wait_for("^open")
            before = honest.counts_client.counts()["messages"]
            eventually(lambda: honest.counts_client.counts()["messages"] > before + 50, "messages")
            for client in clients:
                client.kill()
        eventually(lambda: honest.counts_client.counts()["ended"] == 15, "each close is reported")
        equal(honest.counts_client.counts()["opened"], 16)
        eventually(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) == descriptors, "no descriptor leaked")
        honest.continues()
        server.wait_for("^ended by ", 15)


def a_client_that_is_stopped():
    """It stops reading, though its kernel answers for it: the server closes it, and serves other clients. Once resumed,
    it detects the close and reconnects."""
    with Server(ADAPTER, "output=1000 close=1000") as server, Honest(server) as honest:
        with Client(ADAPTER, server.url.replace("/ws", "/push"), FOREVER, 10, 1) as client:
            client.wait_for("^open")
            client.signal(STOP)
            server.wait_for("^ended by us: the peer stopped reading what was sent to it")
            honest.continues()
            client.signal(CONTINUE)
            client.wait_for("^open", 2)
            equal(len(client.matching("^ended by ")), 1)


def a_server_that_is_stopped():
    """Its kernel answers for it: the client detects it by its heartbeat, and reconnects when the server is back."""
    with Server(ADAPTER) as server, Client(ADAPTER, server.url, 2000, 10, 1, FAST) as client:
        counts_client = CountsClient(server.port)
        client.wait_for("^open")
        eventually(lambda: counts_client.counts()["messages"] > 5, "messages")
        server.signal(STOP)
        client.wait_for("the peer did not answer the heartbeat")
        server.signal(CONTINUE)
        client.wait_for("^open", 2)
        equal(client.wait_exit(), 0)
        eventually(lambda: counts_client.counts()["ended"] == 2, "the server reports both")


# --- a bad network


def connect_over(net, options=FAST, path="/ws", count=400, size=2000, window=16):
    server = Server(ADAPTER, f"bind=any {options}", inside=net.inside(0))
    url = f"ws://{ADDRESSES[0]}:{server.port}{path}"
    return server, Client(ADAPTER, url, count, size, window, options, inside=net.inside(1))


def bad_network(net):
    """Of 400 messages, none is lost, duplicated or out of order, and the connection lives."""
    net.conditions = Conditions(lost=5, duplicated=3, least_delay=0.001, most_delay=0.02)
    server, client = connect_over(net, options="")
    with server, client:
        equal(client.wait_exit(), 0)
        equal((len(client.matching("^open")), len(client.matching("^done$"))), (1, 1))
        server.wait_for("closed the connection: 1000")
    assert min(net.lost, net.duplicated, net.reordered) >= 10, f"{net.lost} lost, {net.duplicated} duplicated, {net.reordered} reordered"


def repeated_outages(net):
    """The network drops everything for a while, repeatedly. Echoed messages are not sent again; in the end all are
    echoed."""
    timed_out = "^ended by us: the peer (did not answer the heartbeat|stopped reading)"
    net.conditions = Conditions(lost=1, least_delay=0.001, most_delay=0.004)
    server, client = connect_over(net, count=3000, window=4)
    with server, client:
        for times in range(1, 4):
            client.wait_for("^open", times)
            passed = net.passed
            eventually(lambda: net.passed > passed + 50 or not client.is_running(), "packets")
            assert client.is_running(), f"it finished too early: {client.lines}"
            net.blackhole = True
            client.wait_for(timed_out, times)
            server.wait_for(timed_out, times)
            net.blackhole = False
        equal(client.wait_exit(), 0)
        equal((len(client.matching("^open")), len(client.matching("^done$")), len(server.matching(timed_out))), (4, 1, 3))


def a_black_hole(net, path, ending, options):
    """A peer vanishes silently, while idle or while receiving: both sides detect it."""
    server, client = connect_over(net, options, path, count=1 if path == "/push" else FOREVER, window=1)
    with server, client:
        client.wait_for("^open")
        eventually(lambda: net.passed > 20, "packets")
        net.blackhole = True
        server.wait_for(ending)
        client.wait_for("^ended by us: the peer did not answer the heartbeat")


NETWORK = [
    ("packets lost, delayed, duplicated and reordered", bad_network),
    ("repeated network outages", repeated_outages),
    ("a peer in a black hole is detected by the heartbeat", a_black_hole, "/ws", "the peer did not answer the heartbeat", FAST),
    ("a peer in a black hole is detected by the output deadline while receiving", a_black_hole, "/push",
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
    except Unavailable as reason:
        for name, *_ in NETWORK:
            not_run(name, reason)
    else:
        for net, (name, body, *arguments) in zip(nets, NETWORK):
            with net:
                check(name, body, net, *arguments)
    finish(f"faults, {ADAPTER}")


main()
