"""Bad peers against a test server at $PORT. Each check looks at the fate of the bad peer, and at the honest one beside
it: that must be served throughout, and the server's memory must stay within bounds.

The only waits here are the deadlines of the server, which OPTIONS makes short.
"""

import itertools
import os
import random
import re
import resource
import select
import socket
import sys
import threading
import time
from pathlib import Path

from peer import (BINARY, CLOSE, CONTINUATION, GUARD, PING, PONG, TEXT, UPGRADE, Peer, Witness, asked_for, counts, descriptors, eventually,
                  frame)
from violations import IN_ORDER, LIMIT, VIOLATIONS, close

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import check, equal, finish  # noqa: E402

MANY = 1000
HEAD = UPGRADE[: UPGRADE.index(b"\r\n") + 2].replace(b"/ws", b"%s").replace(b"GET", b"%s") + UPGRADE.split(b"\r\n")[1] + b"\r\n"

witness = Witness()


def http(method, path, *fields):
    return HEAD % (method, path) + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def beside_an_honest_peer(name, growth, body, *arguments):
    """`growth`: by how many MiB the server may grow meanwhile."""

    def both():
        witness.goes_on(1)
        before = witness.watch_memory()
        body(*arguments)
        witness.goes_on(1)
        grown = witness.most_memory() - before
        assert grown < growth, f"the server grew by {grown:.1f} MiB"

    check(name, both)


# --- what must not be sent


def violation(data, code):
    with Peer() as peer:
        peer.send(data)
        equal(peer.close_code(), code)


def in_order(data, code):
    with Peer() as peer:
        peer.send(data)
        got = peer.frame()
        equal(got, (CLOSE, code.to_bytes(2, "big") if code else b""))
        equal(peer.frame(), None)


def close_survives_what_is_in_flight():
    with Peer() as peer:
        peer.send(frame(BINARY, declared=LIMIT + 1) + bytes(1 << 20))
        equal(peer.close_code(), 1009)


def what_was_good_is_answered_first():
    with Peer() as peer:
        peer.send(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(0, first=0x83) + frame(TEXT, b"never"))
        equal([peer.frame(), peer.frame()], [(TEXT, b"one"), (TEXT, b"two")])
        equal(peer.close_code(), 1002)


def the_limit_itself():
    with Peer() as peer:
        peer.echo(bytes(LIMIT))


def endless_pieces():
    with Peer() as peer:
        peer.send(frame(BINARY, fin=False))
        for _ in range(LIMIT // 65_536):
            peer.send(frame(CONTINUATION, bytes(65_536), fin=False))
        peer.send(frame(CONTINUATION, b"x", fin=False))
        equal(peer.close_code(), 1009)


def many_declare_much():
    peers = [Peer() for _ in range(200)]
    before = asked_for()
    for peer in peers:
        peer.send(frame(BINARY, b"x" * 10, declared=LIMIT))
    witness.goes_on()
    # Declared but unsent bytes are not resident.
    more = asked_for() - before
    assert more < 64, f"{more:.0f} MiB were allocated"
    for peer in peers:
        peer.reset()


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


# --- floods


def flood(data, answer):
    """Sends `data` until the honest peer has been served a few times, and reads. Each is answered.

    Pongs may be fewer, since one answers all pending pings (RFC 6455 §5.5.3).
    """
    wanted = witness.served + 10
    sent = 0
    end = b"\x81\x07the end"  # as a server sends it
    with Peer() as peer:

        def send():
            nonlocal sent
            while sent < 20_000 or witness.served < wanted and not witness.fault:
                peer.send(data * 100)
                sent += 100
            peer.send(frame(TEXT, b"the end"))

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        received = bytearray()
        while end not in received[-200:]:  # a pong may follow it
            part = peer.socket.recv(1 << 18)
            assert part, f"ended after {len(received)} bytes"
            received += part
        sender.join(GUARD)
    received = received.replace(end, b"", 1)
    answers, rest = divmod(len(received), len(answer))
    assert not rest and received == answer * answers, "another answer"
    assert answers == sent or answer[0] & 15 == PONG and 0 < answers <= sent, f"{answers} answers to {sent}"


def flood_is_ended(data, answers):
    """Sends `data` until the server closes: empty frames and messages, at most a thousand a second."""
    with Peer() as peer:
        stop = threading.Event()

        def send():
            while not stop.is_set():
                peer.send(data * 100)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        while (got := peer.frame()) in answers:
            pass
        stop.set()
        assert got and got[0] == CLOSE, f"ended with {got}"
        equal(int.from_bytes(got[1][:2], "big"), 1008)
        peer.reset()
        sender.join(GUARD)


def empty_pieces(ends):
    with Peer() as peer:
        peer.send(frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 100_000 + frame(CONTINUATION, b"x"))
        if ends:
            equal(peer.close_code(), 1008)
        else:
            equal(peer.frame(), (TEXT, b"x"))


def many_empty_messages():
    with Peer() as peer:
        begun = time.monotonic()
        peer.send(frame(TEXT) * 2_500 + frame(TEXT, b"x"))
        for _ in range(2_500):
            equal(peer.frame(), (TEXT, b""))
        equal(peer.frame(), (TEXT, b"x"))
        assert time.monotonic() - begun > 1, "they are not delayed"


def tiny_pieces():
    with Peer() as peer:
        peer.send(frame(BINARY, fin=False) + frame(CONTINUATION, b"x", fin=False) * 300_000 + frame(CONTINUATION))
        equal(peer.frame(), (BINARY, b"x" * 300_000))


def deaf(data, upgrade=True):
    """Eight peers send whatever the server reads, and never read. It stops reading, and cuts them off in the end. Until
    half of its outbox is full it reads, and the kernel buffers some megabytes on both sides."""
    peers = [Peer(upgrade, receive_buffer=4096) for _ in range(8)]
    sent = dict.fromkeys(peers, 0)
    while sent:
        pour(sent, data)
        for peer in list(sent):
            assert sent[peer] <= 24 << 20, f"{sent[peer]} bytes were read from a peer that does not read"
            if peer.is_cut_off():
                del sent[peer]
    witness.goes_on()
    for peer in peers:
        peer.reset()


def deaf_to_pongs():
    """Pongs that a peer never reads do not accumulate, however many pings come. A peer that has filled the kernel with
    pongs is cut off."""
    peers = [Peer(receive_buffer=4096) for _ in range(8)]
    sent = dict.fromkeys(peers, 0)
    while sum(sent.values()) < 64 << 20 and not all(peer.is_cut_off() for peer in peers):
        pour(sent, frame(PING, b"x" * 125) * 500)
    assert min(sent.values()) > 1 << 20, f"{min(sent.values())} bytes of pings were read"
    witness.goes_on()
    for peer in peers:
        peer.reset()


def pour(sent, data):
    """Each peer that can sends once; the count is recorded."""
    _, writable, _ = select.select([], [peer.socket for peer in sent], [], 0.05)
    for peer in sent:
        if peer.socket in writable:
            try:
                sent[peer] += peer.socket.send(data, socket.MSG_DONTWAIT)
            except OSError:
                pass  # it is full after all, or was cut off, which shows later


# --- peers that leave, and peers that stay


def vanish(how):
    before = descriptors()
    for n in range(200):
        peer = Peer(upgrade=how in ("while idle", "inside a frame", "with an answer due"))
        if how == "before the upgrade":
            peer.send(UPGRADE[: n % len(UPGRADE)])
        elif how == "inside a body":
            peer.send(http(b"POST", b"/echo", b"Content-Length: 1000") + b"half")
        elif how == "with requests unanswered":
            peer.send(http(b"GET", b"/later") * 3)
        elif how == "inside a frame":
            peer.send(frame(BINARY, b"half", declared=1000))
        elif how == "with an answer due":
            peer.send(frame(BINARY, b"x" * 60_000) * 4)
        if n % 2:
            peer.reset()
        else:
            peer.socket.close()
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
    witness.goes_on()
    for peer in peers:
        peer.send(close(1000))
    for peer in peers:
        equal(peer.close_code(), 1000)
        peer.socket.close()
    eventually(lambda: descriptors() <= before)


# --- slow peers; they run beside all other checks


def cut_off(greeting, drip, told):
    """Twenty peers that send a greeting, and then a byte of `drip` now and then, or nothing; each receives `told` and
    is cut off."""
    peers = [Peer(upgrade=False) for _ in range(20)]
    for peer in peers:
        peer.send(greeting)
    pending = {peer.socket: peer for peer in peers}
    drips = itertools.cycle(drip[at : at + 1] for at in range(len(drip))) if drip else itertools.repeat(b"")

    def all_ended():
        byte = next(drips)
        for peer in pending.values():
            peer.send(byte)
        readable, _, _ = select.select(list(pending), [], [], 0.1)
        for one in readable:
            peer = pending[one]
            if not peer.more():
                assert re.fullmatch(told, peer.buffer, re.DOTALL), f"received {peer.buffer[-200:]}"
                del pending[one]
                one.close()
        return not pending

    eventually(all_ended)


def reads_nothing(greeting, upgrade=True):
    """Is cut off once its unread output has made no progress."""
    peer = Peer(upgrade, receive_buffer=4096)
    peer.send(greeting)
    eventually(peer.is_cut_off)
    peer.socket.close()


def never_ends_its_half():
    """Was closed, and keeps its socket: the server releases its own."""
    peer = Peer()
    peer.send(close(1000))
    equal(peer.close_code(), 1000)
    # Once the server has dropped the socket, further output is answered by a reset.
    eventually(lambda: refuses(peer))
    peer.socket.close()


def refuses(peer):
    try:
        peer.socket.send(b"x")
        return False
    except OSError:
        return True


def does_not_answer_heartbeats():
    peer = Peer()
    eventually(peer.is_cut_off)
    peer.socket.close()


TOO_SLOW = rb"HTTP/1\.1 408 .*"
SERVED = rb"HTTP/1\.1 204 [^\n]*\n(?:[^\r\n]+\r\n)*\r\n"
PATIENT = {
    "an unfinished request is cut off": (cut_off, UPGRADE[:-2] + b"X-A: ", b"b", TOO_SLOW),
    "a silent connection is cut off": (cut_off, b"", b"", b""),
    "an unfinished second request is cut off": (cut_off, http(b"GET", b"/nothing") + b"GET", b"T", SERVED + TOO_SLOW),
    "an idle keep-alive connection is closed": (cut_off, http(b"GET", b"/nothing"), b"", SERVED),
    "a dripping body is cut off": (cut_off, http(b"POST", b"/echo", b"Content-Length: 100000"), b"b", TOO_SLOW),
    "dripping chunks are cut off": (cut_off, http(b"POST", b"/echo", b"Transfer-Encoding: chunked"), b"1\r\nb\r\n", TOO_SLOW),
    "a peer that never reads echoes is cut off": (reads_nothing, frame(BINARY, bytes(65_000)) * 100),
    "a peer that never reads pushed messages is cut off": (reads_nothing, UPGRADE.replace(b"/ws", b"/talk"), False),
    "a peer that never reads answers is cut off": (reads_nothing, http(b"GET", b"/large") * 100, False),
    "a peer that never closes its half is cut off": (never_ends_its_half,),
}

# --- the two configurations


def with_the_defaults():
    """The default limits."""
    beside_an_honest_peer("garbage instead of HTTP", 12, garbage, False)
    beside_an_honest_peer("garbage instead of frames", 24, garbage, True)
    for name, data, code in VIOLATIONS:
        beside_an_honest_peer(f"{name}: {code}", 4, violation, data, code)
    for name, data, code in IN_ORDER:
        beside_an_honest_peer(f"{name} is valid", 4, in_order, data, code)
    beside_an_honest_peer("a Close is read although a megabyte is in flight", 4, close_survives_what_is_in_flight)
    beside_an_honest_peer("valid input is answered before an error behind it", 4, what_was_good_is_answered_first)
    beside_an_honest_peer("a message of 16 MiB comes back", 72, the_limit_itself)
    beside_an_honest_peer("endless fragments stop at 16 MiB", 48, endless_pieces)
    beside_an_honest_peer("200 peers declare 16 MiB and send ten bytes", 8, many_declare_much)
    beside_an_honest_peer("a handshake and a message byte by byte", 4, byte_by_byte)
    beside_an_honest_peer("a flood of pings is cut off", 8, flood_is_ended, frame(PING, b"x"), [(PONG, b"x")])
    beside_an_honest_peer("a flood of pongs is cut off", 8, flood_is_ended, frame(PONG, b"x"), [])
    beside_an_honest_peer("2,500 empty messages are answered, a thousand a second", 8, many_empty_messages)
    beside_an_honest_peer("a flood of small messages is answered", 8, flood, frame(TEXT, b"x"), b"\x81\x01x")
    beside_an_honest_peer("100,000 empty fragments are cut off", 8, empty_pieces, True)
    beside_an_honest_peer("a message in 300,000 fragments of a byte", 8, tiny_pieces)
    beside_an_honest_peer("eight peers send messages and never read", 80, deaf, frame(BINARY, bytes(65_000)))
    beside_an_honest_peer("eight peers send requests and never read", 40, deaf, http(b"GET", b"/large"), False)
    for how in ("before the upgrade", "inside a body", "with requests unanswered", "while idle", "inside a frame", "with an answer due"):
        beside_an_honest_peer(f"200 peers vanish {how}", 16, vanish, how)
    beside_an_honest_peer("a thousand silent connections", 8, nothing_said)
    beside_an_honest_peer("a thousand at once", 24, thousand)


def crowd():
    """As many silent connections as allowed, and more. Newcomers wait in the kernel until those have timed out."""
    silent = [Peer(upgrade=False) for _ in range(30)]
    witness.goes_on()
    with Peer() as newcomer:
        newcomer.echo()
    for peer in silent:
        peer.socket.close()


def full():
    """Connections over the limit are rejected; the rest stay, and a freed slot is reused."""
    peers = []
    while (newcomer := asks()).until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 "):
        peers.append(newcomer)
    assert 90 <= len(peers) <= 100, f"{len(peers)} were accepted"
    for _ in range(20):
        equal(asks().until(b"\r\n\r\n"), b"")
    for peer in peers:
        peer.echo()
    witness.goes_on()
    for peer in peers:
        peer.socket.close()
    eventually(lambda: descriptors() < 50)
    with Peer() as newcomer:
        newcomer.echo()


def asks():
    peer = Peer(upgrade=False)
    peer.send(UPGRADE)
    return peer


def heartbeats():
    """Of the silent peers, those that answer stay, and those that do not are cut off."""
    polite = Peer()
    stop = threading.Event()

    def answer():
        while polite.frame() is not None and not stop.is_set():
            pass

    answering = threading.Thread(target=answer, daemon=True)
    answering.start()
    for _ in range(2):
        does_not_answer_heartbeats()
    assert not polite.is_cut_off(), "it was cut off although it answered"
    stop.set()
    polite.send(frame(TEXT, b"still here"))
    answering.join(GUARD)
    assert not answering.is_alive()
    polite.socket.close()


def with_others():
    """Floods without a limit; few connections, fewer handshakes; heartbeats twice a second."""
    beside_an_honest_peer("a flood of pings is answered", 8, flood, frame(PING, b"x"), b"\x8a\x01x")
    beside_an_honest_peer("a flood of empty messages is answered", 8, flood, frame(TEXT), b"\x81\x00")
    beside_an_honest_peer("a message of 100,000 empty fragments", 8, empty_pieces, False)
    beside_an_honest_peer("eight peers send pings and never read", 8, deaf_to_pongs)
    beside_an_honest_peer("a crowd of silent connections", 8, crowd)
    beside_an_honest_peer("a full server", 8, full)
    beside_an_honest_peer("heartbeats find dead peers only", 8, heartbeats)


def ends_are_told():
    def settled():
        now = counts()
        return now["opened"] == now["ended"] + 1  # the honest one

    eventually(settled)


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    witness.process.start()
    witness.goes_on(1)
    if "frame_rate=off" in os.environ["OPTIONS"]:
        with_others()
    else:
        outcomes = {}

        def run(name, body, *arguments):
            try:
                body(*arguments)
            except Exception as error:  # reported below
                outcomes[name] = error

        def outcome(name):
            threads[name].join()
            if name in outcomes:
                raise outcomes[name]

        threads = {name: threading.Thread(target=run, args=(name, *what), daemon=True) for name, what in PATIENT.items()}
        for thread in threads.values():
            thread.start()
        with_the_defaults()
        for name in PATIENT:
            beside_an_honest_peer(name, 8, outcome, name)
    check("the close of each WebSocket is reported once", ends_are_told)
    finish(f"hostile peers, {os.environ['OPTIONS']}")


main()
