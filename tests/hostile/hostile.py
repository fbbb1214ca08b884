"""Bad peers against the echo example at $PORT. Each check looks at what becomes of the bad peer, and then at the honest one
beside it: it must have been served all the while, and the server's memory must have stayed within bounds."""

import random
import resource
import select
import socket
import sys
import threading
import time
from pathlib import Path

from peer import (BINARY, CLOSE, CONTINUATION, GUARD, PING, PONG, TEXT, UPGRADE, Peer, Witness, descriptors, eventually,
                  frame, resident)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import check, equal, finish  # noqa: E402

LIMIT = 64 << 20  # of a message, in the echo example
SLOWEST = 2.0  # seconds an honest echo may take; the machine may be busy with other things
MANY = 1000

witness = Witness()


def beside_an_honest_peer(name, growth, body, *arguments):
    """`growth`: by how many MiB the server may grow meanwhile."""

    def both():
        before, served = resident(), witness.served
        witness.slowest, witness.peak = 0.0, before
        body(*arguments)
        eventually(lambda: witness.served > served + 1 or witness.fault)
        assert not witness.fault, f"the honest peer: {witness.fault}"
        assert witness.slowest < SLOWEST, f"the honest peer waited for {witness.slowest:.2f} s"
        grown = max(witness.peak, resident()) - before
        assert grown < growth, f"the server grew by {grown:.1f} MiB"

    check(name, both)


def violation(data, code):
    with Peer() as peer:
        peer.send(data)
        equal(peer.close_code(), code)


VIOLATIONS = [
    ("a frame without a mask", frame(TEXT, b"hi", mask=False), 1002),
    ("a length of 2^63", frame(BINARY, declared=1 << 63), 1002),
    ("a length of 2^64 - 1", frame(BINARY, declared=(1 << 64) - 1), 1002),
    ("a length of 2^63 - 1", frame(BINARY, declared=(1 << 63) - 1), 1009),
    ("a length of 2^32", frame(BINARY, declared=1 << 32), 1009),
    ("one byte over the limit", frame(BINARY, declared=LIMIT + 1), 1009),
    ("one byte over the limit, in pieces", frame(BINARY, b"x", fin=False) + frame(CONTINUATION, declared=LIMIT), 1009),
    ("a short length in the long form", b"\x82\xff" + (5).to_bytes(8, "big") + bytes(4) + b"hello", 1002),
    ("a reserved bit", frame(0, b"hi", first=0xA1), 1002),
    ("a compressed frame that was not agreed on", frame(0, b"hi", first=0xC1), 1002),
    ("a reserved opcode", frame(0, first=0x83), 1002),
    ("a reserved control opcode", frame(0, first=0x8B), 1002),
    ("a continuation of nothing", frame(CONTINUATION, b"hi"), 1002),
    ("a message inside another", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    ("a ping of 126 bytes", frame(PING, b"x" * 126), 1002),
    ("a ping in pieces", frame(PING, b"x", fin=False), 1002),
    ("a Close of one byte", frame(CLOSE, b"\x03"), 1002),
    *[(f"a Close with {code}", frame(CLOSE, code.to_bytes(2, "big")), 1002)
      for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)],
    ("a Close whose reason is not UTF-8", frame(CLOSE, b"\x03\xe8\xff"), 1007),
    ("text that is not UTF-8", frame(TEXT, b"caf\xe9"), 1007),
    ("text that stops inside a character", frame(TEXT, b"caf\xc3"), 1007),
    ("text whose second piece is not UTF-8", frame(TEXT, b"caf\xc3", fin=False) + frame(CONTINUATION, b"("), 1007),
]


def close_survives_what_is_in_flight():
    with Peer() as peer:
        peer.send(frame(BINARY, declared=LIMIT + 1) + bytes(1 << 20))
        equal(peer.close_code(), 1009)


def many_declare_much():
    peers = [Peer() for _ in range(200)]
    for peer in peers:
        peer.send(frame(BINARY, b"x" * 10, declared=LIMIT))
    peers[-1].send(b"y" * 10)
    eventually_served()
    for peer in peers:
        peer.reset()


def eventually_served():
    with Peer() as peer:
        peer.echo()


def garbage(upgrade):
    chance = random.Random(7)
    for _ in range(200):
        with Peer(upgrade) as peer:
            peer.send(chance.randbytes(chance.randrange(1, 20_000)))
            shutdown(peer)
            while peer.more():
                pass


def shutdown(peer):
    try:
        peer.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the server was faster


def byte_by_byte():
    with Peer(upgrade=False) as peer:
        for byte in UPGRADE + frame(TEXT, "caf\u00e9".encode(), fin=False) + frame(CONTINUATION, b"!"):
            peer.send(bytes([byte]))
        assert peer.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        equal(peer.frame(), (TEXT, "caf\u00e9!".encode()))


def flood(data, codes, count, answer=None):
    """Sends `data` again and again while it reads. The server serves it to the end, or closes with one of the codes.

    Each answer is expected `count` times. Pongs may be fewer, since one answers for all that waited (RFC 6455 §5.5.3).
    """
    with Peer() as peer:

        def send():
            for _ in range(count // 100):
                peer.send(data * 100)
            peer.send(frame(TEXT, b"the end"))

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        answers = 0
        while (got := peer.frame()) not in (None, (TEXT, b"the end")):
            if got[0] == CLOSE:
                assert int.from_bytes(got[1][:2], "big") in codes, got[1]
                break
            equal(got, answer)
            answers += 1
        else:
            assert got, f"ended after {answers} answers, without a Close"
            assert answers == count or answer[0] == PONG and 0 < answers <= count, f"{answers} answers"
        peer.socket.close()
        sender.join(GUARD)


def empty_pieces():
    with Peer() as peer:
        peer.send(frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 100_000 + frame(CONTINUATION, b"x"))
        got = peer.frame()
        assert got == (TEXT, b"x") or got[0] == CLOSE and got[1].startswith((1008).to_bytes(2, "big")), got


def deaf(data):
    """Sends as long as the server takes it, and never reads. A second in which nothing is taken is the sign of a pause."""
    peers = [Peer(receive_buffer=4096) for _ in range(8)]
    for peer in peers:
        peer.socket.setblocking(False)
    sent, quiet_since = 0, time.monotonic()
    while time.monotonic() - quiet_since < 1 and sent < 2 << 30:
        _, writable, _ = select.select([], [peer.socket for peer in connected(peers)], [], 0.1)
        for one in writable:
            try:
                if one.send(data):
                    quiet_since = time.monotonic()
                    sent += len(data)
            except BlockingIOError:
                pass
            except OSError:
                one.close()
    for peer in connected(peers):
        peer.reset()


def connected(peers):
    return [peer for peer in peers if peer.socket.fileno() >= 0]


def vanish(how):
    before = descriptors()
    for n in range(200):
        peer = Peer(upgrade=how != "before the upgrade")
        if how == "before the upgrade":
            peer.send(UPGRADE[: n % len(UPGRADE)])
        elif how == "inside a frame":
            peer.send(frame(BINARY, b"half", declared=1000))
        elif how == "with an answer due":
            peer.send(frame(BINARY, b"x" * 60_000) * 4)
        peer.reset()
    eventually(lambda: descriptors() <= before)


def nothing_said():
    before = descriptors()
    for _ in range(MANY):
        Peer(upgrade=False).socket.close()
    eventually(lambda: descriptors() <= before)


def thousand():
    before = descriptors()
    peers = [Peer() for _ in range(MANY)]
    for n, peer in enumerate(peers):
        peer.send(frame(TEXT, b"I am %d" % n))
    for n, peer in enumerate(peers):
        equal(peer.frame(), (TEXT, b"I am %d" % n))
    for peer in peers:
        peer.send(frame(CLOSE, b"\x03\xe8"))
    for peer in peers:
        equal(peer.close_code(), 1000)
        peer.socket.close()
    eventually(lambda: descriptors() <= before)


def slow(drip):
    """Never ends its request: it must be cut off, however it dawdles."""
    peers = [Peer(upgrade=False) for _ in range(20)]
    pending = {peer.socket: peer for peer in peers}
    end, at = time.monotonic() + 25, 0
    while pending:
        assert time.monotonic() < end, f"{len(pending)} of {len(peers)} are still connected after 25 s"
        if drip:
            for peer in pending.values():
                peer.send(UPGRADE[at : at + 1] if at < len(UPGRADE) - 4 else b"X")
            at += 1
        readable, _, _ = select.select(list(pending), [], [], 0.1)
        for one in readable:
            if not pending[one].more():
                del pending[one]
                one.close()


def reads_nothing_for_ever():
    """Must be cut off once its answers have made no progress for the output deadline (30 s)."""
    with Peer(receive_buffer=4096) as peer:
        peer.socket.settimeout(1)
        try:
            for _ in range(1000):
                peer.socket.sendall(frame(BINARY, b"x" * 65_000))
        except TimeoutError:
            pass
        poll = select.poll()
        poll.register(peer.socket, select.POLLHUP | select.POLLERR | select.POLLRDHUP)
        assert poll.poll(45_000), "still connected after 45 s"


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    witness.start()
    eventually(lambda: witness.served or witness.fault)

    # The patient ones run beside all the others.
    outcomes = {}
    patient = {
        "who never ends a request is cut off": (slow, True),
        "who says nothing is cut off": (slow, False),
        "who never reads is cut off": (reads_nothing_for_ever,),
    }

    def run(name, body, *arguments):
        try:
            body(*arguments)
        except Exception as error:  # told below
            outcomes[name] = error

    def outcome(name):
        threads[name].join()
        if name in outcomes:
            raise outcomes[name]

    threads = {name: threading.Thread(target=run, args=(name, *what), daemon=True) for name, what in patient.items()}
    for thread in threads.values():
        thread.start()

    beside_an_honest_peer("garbage instead of HTTP", 8, garbage, False)
    beside_an_honest_peer("garbage instead of frames", 24, garbage, True)
    for name, data, code in VIOLATIONS:
        beside_an_honest_peer(f"{name}: {code}", 4, violation, data, code)
    beside_an_honest_peer("a Close is read although a megabyte is in flight", 4, close_survives_what_is_in_flight)
    beside_an_honest_peer("200 peers declare 64 MiB and send ten bytes", 8, many_declare_much)
    beside_an_honest_peer("a handshake and a message byte by byte", 4, byte_by_byte)
    beside_an_honest_peer("a flood of pings", 8, flood, frame(PING, b"x"), (1008,), 20_000, (PONG, b"x"))
    beside_an_honest_peer("a flood of empty messages", 8, flood, frame(TEXT), (1008,), 20_000, (TEXT, b""))
    beside_an_honest_peer("a flood of small messages", 8, flood, frame(TEXT, b"x"), (), 100_000, (TEXT, b"x"))
    beside_an_honest_peer("a message of 100,000 empty pieces", 8, empty_pieces)
    beside_an_honest_peer("eight peers send messages and never read", 40, deaf, frame(BINARY, b"x" * 65_000))
    beside_an_honest_peer("eight peers send pings and never read", 8, deaf, frame(PING, b"x" * 125) * 100)
    for how in ("before the upgrade", "while idle", "inside a frame", "with an answer due"):
        beside_an_honest_peer(f"200 peers vanish {how}", 8, vanish, how)
    beside_an_honest_peer("a thousand connect and say nothing", 8, nothing_said)
    beside_an_honest_peer("a thousand at once", 24, thousand)

    for name in patient:
        beside_an_honest_peer(name, 8, outcome, name)
    finish("hostile peers")


main()
