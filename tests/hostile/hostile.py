"""Tests hostile peers against a server at $PORT. Each check verifies how the server treats the hostile peer, that an
honest one is served throughout, and that the server's memory stays bounded.

The checks wait only for deadlines of the server, which OPTIONS makes short.
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

from peer import (BINARY, CLOSE, CONTINUATION, GUARD, PING, PONG, TEXT, UPGRADE, Peer, HonestPeer, allocated, counts, descriptors, eventually,
                  frame)
from violations import VALID_CLOSES, LIMIT, VIOLATIONS, close

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from check import check, equal, finish  # noqa: E402

MANY = 1000
HEAD = UPGRADE[: UPGRADE.index(b"\r\n") + 2].replace(b"/ws", b"%s").replace(b"GET", b"%s") + UPGRADE.split(b"\r\n")[1] + b"\r\n"

honest = HonestPeer()


def http(method, path, *fields):
    return HEAD % (method, path) + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def check_beside_honest_peer(name, growth, body, *arguments):
    """`growth` is how many MiB the server may grow meanwhile."""

    def both():
        honest.continues(1)
        before = honest.reset_peak_memory()
        body(*arguments)
        honest.continues(1)
        grown = honest.peak_memory() - before
        assert grown < growth, f"the server grew by {grown:.1f} MiB"

    check(name, both)


# --- protocol violations


def violation(data, code):
    with Peer() as peer:
        peer.send(data)
        equal(peer.close_code(), code)


def valid_close(data, code):
    with Peer() as peer:
        peer.send(data)
        got = peer.frame()
        equal(got, (CLOSE, code.to_bytes(2, "big") if code else b""))
        equal(peer.frame(), None)


def close_is_read_despite_data_in_flight():
    with Peer() as peer:
        peer.send(frame(BINARY, declared=LIMIT + 1) + bytes(1 << 20))
        equal(peer.close_code(), 1009)


def valid_input_is_answered_first():
    with Peer() as peer:
        peer.send(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(0, first=0x83) + frame(TEXT, b"never"))
        equal([peer.frame(), peer.frame()], [(TEXT, b"one"), (TEXT, b"two")])
        equal(peer.close_code(), 1002)


def message_at_the_limit():
    with Peer() as peer:
        peer.echo(bytes(LIMIT))


def endless_fragments():
    with Peer() as peer:
        peer.send(frame(BINARY, fin=False))
        for _ in range(LIMIT // 65_536):
            peer.send(frame(CONTINUATION, bytes(65_536), fin=False))
        peer.send(frame(CONTINUATION, b"x", fin=False))
        equal(peer.close_code(), 1009)


def many_declare_large_messages():
    peers = [Peer() for _ in range(200)]
    before = allocated()
    for peer in peers:
        peer.send(frame(BINARY, b"x" * 10, declared=LIMIT))
    honest.continues()
    # Declared but unsent bytes are not resident.
    grown = allocated() - before
    assert grown < 64, f"{grown:.0f} MiB were allocated"
    for peer in peers:
        peer.reset()


def garbage(upgrade):
    rng = random.Random(7)
    for _ in range(200):
        with Peer(upgrade) as peer:
            peer.send(rng.randbytes(rng.randrange(1, 20_000)))
            shutdown(peer)
            while peer.receive():
                pass


def shutdown(peer):
    try:
        peer.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the server had already closed it


def byte_by_byte():
    with Peer(upgrade=False) as peer:
        for byte in UPGRADE + frame(TEXT, "caf\u00e9".encode(), fin=False) + frame(CONTINUATION, b"!"):
            peer.send(bytes([byte]))
        assert peer.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        equal(peer.frame(), (TEXT, "caf\u00e9!".encode()))


# --- floods


def flood(data, answer):
    """Sends `data` until the honest peer has been served a few times, and reads. Each message is answered.

    Pongs may be fewer, since one answers all pending pings (RFC 6455 §5.5.3).
    """
    wanted = honest.served + 10
    sent = 0
    end = b"\x81\x07the end"  # as a server sends it
    with Peer() as peer:

        def send():
            nonlocal sent
            while sent < 20_000 or honest.served < wanted and not honest.fault:
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


def flood_is_cut_off(data, answers):
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


def empty_fragments(ends):
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
        assert time.monotonic() - begun > 1, "the messages were not delayed"


def tiny_fragments():
    with Peer() as peer:
        peer.send(frame(BINARY, fin=False) + frame(CONTINUATION, b"x", fin=False) * 300_000 + frame(CONTINUATION))
        equal(peer.frame(), (BINARY, b"x" * 300_000))


def never_reads(data, upgrade=True):
    """Eight peers send as fast as the server reads, and never read. The server reads until half of its outbox is full,
    then stops and finally cuts them off. The kernel buffers some megabytes on both sides."""
    peers = [Peer(upgrade, receive_buffer=4096) for _ in range(8)]
    sent = dict.fromkeys(peers, 0)
    while sent:
        send_to_writable(sent, data)
        for peer in list(sent):
            assert sent[peer] <= 24 << 20, f"{sent[peer]} bytes were read from a peer that does not read"
            if peer.is_cut_off():
                del sent[peer]
    honest.continues()
    for peer in peers:
        peer.reset()


def never_reads_pongs():
    """Pongs that a peer never reads do not accumulate, however many pings it sends. A peer that has filled the kernel
    with pongs is cut off."""
    peers = [Peer(receive_buffer=4096) for _ in range(8)]
    sent = dict.fromkeys(peers, 0)
    while sum(sent.values()) < 64 << 20 and not all(peer.is_cut_off() for peer in peers):
        send_to_writable(sent, frame(PING, b"x" * 125) * 500)
    assert min(sent.values()) > 1 << 20, f"{min(sent.values())} bytes of pings were read"
    honest.continues()
    for peer in peers:
        peer.reset()


def send_to_writable(sent, data):
    """Sends once to each writable peer, and counts the bytes."""
    _, writable, _ = select.select([], [peer.socket for peer in sent], [], 0.05)
    for peer in sent:
        if peer.socket in writable:
            try:
                sent[peer] += peer.socket.send(data, socket.MSG_DONTWAIT)
            except OSError:
                pass  # full after all, or cut off, which a later check detects


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


def silent_connections():
    before = descriptors()
    for _ in range(MANY):
        Peer(upgrade=False).socket.close()
    eventually(lambda: descriptors() <= before)


def thousand_at_once():
    before = descriptors()
    peers = [Peer() for _ in range(MANY)]
    for n, peer in enumerate(peers):
        peer.send(frame(TEXT, b"I am %d" % n))
    for n, peer in enumerate(peers):
        equal(peer.frame(), (TEXT, b"I am %d" % n))
    honest.continues()
    for peer in peers:
        peer.send(close(1000))
    for peer in peers:
        equal(peer.close_code(), 1000)
        peer.socket.close()
    eventually(lambda: descriptors() <= before)


# --- slow peers, which run beside all other checks


def cut_off(greeting, drip, expected):
    """Twenty peers send a greeting, and then a byte of `drip` now and then, or nothing; each receives `expected` and is
    cut off."""
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
            if not peer.receive():
                assert re.fullmatch(expected, peer.buffer, re.DOTALL), f"received {peer.buffer[-200:]}"
                del pending[one]
                one.close()
        return not pending

    eventually(all_ended)


def reads_no_output(greeting, upgrade=True):
    """A peer whose unread output makes no progress is cut off."""
    peer = Peer(upgrade, receive_buffer=4096)
    peer.send(greeting)
    eventually(peer.is_cut_off)
    peer.socket.close()


def never_closes_its_half():
    """The server releases its socket although the closed peer keeps its own."""
    peer = Peer()
    peer.send(close(1000))
    equal(peer.close_code(), 1000)
    # Once the server has closed the socket, the kernel resets further output.
    eventually(lambda: is_reset(peer))
    peer.socket.close()


def is_reset(peer):
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
SLOW_CHECKS = {
    "an unfinished request is cut off": (cut_off, UPGRADE[:-2] + b"X-A: ", b"b", TOO_SLOW),
    "a silent connection is cut off": (cut_off, b"", b"", b""),
    "an unfinished second request is cut off": (cut_off, http(b"GET", b"/nothing") + b"GET", b"T", SERVED + TOO_SLOW),
    "an idle keep-alive connection is closed": (cut_off, http(b"GET", b"/nothing"), b"", SERVED),
    "a dripping body is cut off": (cut_off, http(b"POST", b"/echo", b"Content-Length: 100000"), b"b", TOO_SLOW),
    "dripping chunks are cut off": (cut_off, http(b"POST", b"/echo", b"Transfer-Encoding: chunked"), b"1\r\nb\r\n", TOO_SLOW),
    "a peer that never reads echoes is cut off": (reads_no_output, frame(BINARY, bytes(65_000)) * 100),
    "a peer that never reads pushed messages is cut off": (reads_no_output, UPGRADE.replace(b"/ws", b"/push"), False),
    "a peer that never reads answers is cut off": (reads_no_output, http(b"GET", b"/large") * 100, False),
    "a peer that never closes its half is cut off": (never_closes_its_half,),
}

# --- the two configurations


def run_default_limits():
    """The default limits."""
    check_beside_honest_peer("garbage instead of HTTP", 12, garbage, False)
    check_beside_honest_peer("garbage instead of frames", 24, garbage, True)
    for name, data, code in VIOLATIONS:
        check_beside_honest_peer(f"{name}: {code}", 4, violation, data, code)
    for name, data, code in VALID_CLOSES:
        check_beside_honest_peer(f"{name} is valid", 4, valid_close, data, code)
    check_beside_honest_peer("a Close is read although a megabyte is in flight", 4, close_is_read_despite_data_in_flight)
    check_beside_honest_peer("valid input is answered before a later error", 4, valid_input_is_answered_first)
    check_beside_honest_peer("a message of 16 MiB is echoed", 72, message_at_the_limit)
    check_beside_honest_peer("endless fragments stop at 16 MiB", 48, endless_fragments)
    check_beside_honest_peer("200 peers declare 16 MiB and send ten bytes", 8, many_declare_large_messages)
    check_beside_honest_peer("a handshake and a message byte by byte", 4, byte_by_byte)
    check_beside_honest_peer("a flood of pings is cut off", 8, flood_is_cut_off, frame(PING, b"x"), [(PONG, b"x")])
    check_beside_honest_peer("a flood of pongs is cut off", 8, flood_is_cut_off, frame(PONG, b"x"), [])
    check_beside_honest_peer("2,500 empty messages are echoed, a thousand a second", 8, many_empty_messages)
    check_beside_honest_peer("a flood of small messages is answered", 8, flood, frame(TEXT, b"x"), b"\x81\x01x")
    check_beside_honest_peer("100,000 empty fragments are cut off", 8, empty_fragments, True)
    check_beside_honest_peer("a message in 300,000 fragments of a byte", 8, tiny_fragments)
    check_beside_honest_peer("eight peers send messages and never read", 80, never_reads, frame(BINARY, bytes(65_000)))
    check_beside_honest_peer("eight peers send requests and never read", 40, never_reads, http(b"GET", b"/large"), False)
    for how in ("before the upgrade", "inside a body", "with requests unanswered", "while idle", "inside a frame", "with an answer due"):
        check_beside_honest_peer(f"200 peers vanish {how}", 16, vanish, how)
    check_beside_honest_peer("a thousand silent connections", 8, silent_connections)
    check_beside_honest_peer("a thousand at once", 24, thousand_at_once)


def crowd():
    """More silent connections than allowed. Newcomers wait in the kernel until those have timed out."""
    silent = [Peer(upgrade=False) for _ in range(30)]
    honest.continues()
    with Peer() as newcomer:
        newcomer.echo()
    for peer in silent:
        peer.socket.close()


def full():
    """Connections over the limit are rejected; the rest stay, and a freed slot is reused."""
    peers = []
    while (newcomer := send_upgrade()).until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 "):
        peers.append(newcomer)
    assert 90 <= len(peers) <= 100, f"{len(peers)} were accepted"
    for _ in range(20):
        equal(send_upgrade().until(b"\r\n\r\n"), b"")
    for peer in peers:
        peer.echo()
    honest.continues()
    for peer in peers:
        peer.socket.close()
    eventually(lambda: descriptors() < 50)
    with Peer() as newcomer:
        newcomer.echo()


def send_upgrade():
    peer = Peer(upgrade=False)
    peer.send(UPGRADE)
    return peer


def heartbeats():
    """Of the silent peers, those that answer Pings stay connected, and the others are cut off."""
    live = Peer()
    stop = threading.Event()

    def answer():
        while live.frame() is not None and not stop.is_set():
            pass

    answering = threading.Thread(target=answer, daemon=True)
    answering.start()
    for _ in range(2):
        does_not_answer_heartbeats()
    assert not live.is_cut_off(), "it was cut off although it answered"
    stop.set()
    live.send(frame(TEXT, b"still open"))
    answering.join(GUARD)
    assert not answering.is_alive()
    live.socket.close()


def run_other_limits():
    """No frame rate; few connections, fewer handshakes; heartbeats twice a second."""
    check_beside_honest_peer("a flood of pings is answered", 8, flood, frame(PING, b"x"), b"\x8a\x01x")
    check_beside_honest_peer("a flood of empty messages is answered", 8, flood, frame(TEXT), b"\x81\x00")
    check_beside_honest_peer("a message of 100,000 empty fragments", 8, empty_fragments, False)
    check_beside_honest_peer("eight peers send pings and never read", 8, never_reads_pongs)
    check_beside_honest_peer("a crowd of silent connections", 8, crowd)
    check_beside_honest_peer("a full server", 8, full)
    check_beside_honest_peer("heartbeats close only dead peers", 8, heartbeats)


def closes_are_reported():
    def settled():
        now = counts()
        return now["opened"] == now["ended"] + 1  # the honest one

    eventually(settled)


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    honest.process.start()
    honest.continues(1)
    if "frame_rate=off" in os.environ["OPTIONS"]:
        run_other_limits()
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

        threads = {name: threading.Thread(target=run, args=(name, *what), daemon=True) for name, what in SLOW_CHECKS.items()}
        for thread in threads.values():
            thread.start()
        run_default_limits()
        for name in SLOW_CHECKS:
            check_beside_honest_peer(name, 8, outcome, name)
    check("the close of each WebSocket is reported once", closes_are_reported)
    finish(f"hostile peers, {os.environ['OPTIONS']}")


main()
