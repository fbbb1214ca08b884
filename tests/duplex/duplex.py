"""Both ends send at once, read slowly, or vanish amid it all: the programs of both adapters with default settings,
connected with themselves, each other, and other libraries.

usage: duplex.py [TEXT]
  TEXT  only the checks whose names contain it

Counts and the output of the ends decide. The times here are the pace of slow readers and links,
and guards against hanging.
"""

import contextlib
import os
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]
from check import check, equal, finish, not_run  # noqa: E402
from matrix.processes import Process  # noqa: E402
from raw import LENGTH, Reader, breaking_server, connected, reset, slow_link  # noqa: E402

BUILT = Path(os.environ["BUILT"])
OURS = {"mio": [BUILT / "duplex_mio"], "smol": [BUILT / "duplex_smol"]}
OTHERS = {
    "tungstenite": [BUILT / "duplex_tungstenite"],
    "websockets": [sys.executable, HERE / "websockets_peer.py"],
    "ws": ["node", HERE / "ws_peer.mjs"],
}
PROGRAMS = OURS | OTHERS

BURST = 240  # messages: 15 MiB, which the outbox holds
BOOK = 1024  # messages: 64 MiB
# Both again with messages of other sizes: shorter ones, and ones over the high mark, half the cap, and all of it.
SIZES = {1 << 10: (15 << 10, 32 << 10), 2 << 20: (7, 32), 9 << 20: (1, 4), 16 << 20: (1, 4)}
# An echo to a peer that reads nothing until it has sent everything can hold half its cap and no more.
HELD = 120
# For the senders that keep sending: the maximum queued bytes, and after how many messages they refill.
SENDERS = {"full": (16 << 20, 600), "congested": (1 << 20, 200), "kept": (512 << 10, 200)}
KERNELS = 8 << 20  # the most bytes that both hold, and rounding
WINDOW = 42  # seconds: longer than the 30 in which a reader must read something
PLACES = 2000


class End(Process):
    """A program at one end of a connection."""

    def __init__(self, program, role, scenario, count=0, length=LENGTH, url=None):
        command = [*PROGRAMS[program], role, scenario, count, length, *([url] if url else [])]
        super().__init__(*map(str, command), errors=None)

    def said(self, word):
        """Its output after this word."""
        for line in self.lines():
            name, *rest = line.split("\t")
            if name == word:
                return rest
        raise AssertionError(f"it ended and never said {word!r}")

    def ended(self, *wanted):
        """That it ended with these: messages sent, messages received, code, reason."""
        *got, what = self.said("end")
        if got != [str(want) for want in wanted]:
            raise AssertionError(f"got {got}, wanted {list(wanted)}: {what}")


@contextlib.contextmanager
def server(program, *arguments):
    """A server, and its URL."""
    with End(program, "server", *arguments) as end:
        url = end.line()
        assert url, "the server printed no URL"
        yield end, url


# --- both ends send


def both_send(serving, asking, scenario, count, length=LENGTH):
    what = scenario, count, length
    with server(serving, *what) as (end, url), End(asking, "client", *what, url) as client:
        client.ended(count, count, 1000, "")
        end.ended(count, count, 1000, "")


def upload(serving, asking, count):
    with server(serving, "echo") as (end, url), End(asking, "client", "upload", count, url=url) as client:
        client.ended(count, count, 1000, "")
        end.ended(count, count, 1000, "")


def pairs():
    for serving in PROGRAMS:
        for asking in PROGRAMS:
            if serving in OURS or asking in OURS:
                yield serving, asking


def bulk():
    for serving, asking in pairs():
        names = f"server {serving}, client {asking}"
        yield f"15 MiB each way by plain sends: {names}", both_send, serving, asking, "burst", BURST
        yield f"64 MiB each way with back-pressure: {names}", both_send, serving, asking, "book", BOOK
        # These two send everything before they read anything.
        count = HELD if asking in ("websockets", "tungstenite") else BURST
        yield f"{count} messages come back from an echo: {names}", upload, serving, asking, count
        if serving in OURS and asking in OURS:
            for size, (all_at_once, paced) in SIZES.items():
                for how, scenario, count in (("by plain sends", "burst", all_at_once), ("with back-pressure", "book", paced)):
                    # Of the size, ten bytes are the header of the frame.
                    name = f"{count} × {size} bytes each way {how}: {names}"
                    yield name, both_send, serving, asking, scenario, count, size - 10


# --- one reads slowly


def stop_is_heard(program, scenario, first):
    """The server receives "stop" at once while the peer reads on at 40 KB/s, not after everything before it was
    read."""
    with server(program, scenario) as (end, url), Reader(url, 64 << 10) as reader:
        while reader.messages < first:  # it has drained by then, and is filled again
            reader.read(LENGTH)
        reader.slowly(10, 40_000)
        reader.say("stop")
        reads = 0
        with ThreadPoolExecutor(1) as waiting:
            heard = waiting.submit(end.said, "stopped")
            while not heard.done() and reads < 20:
                reader.slowly(1, 40_000)
                reads += 1
            if not heard.done():
                end.end()
                raise AssertionError(f"not within {reads} reads of 4 KiB")
            unread = (int(heard.result()[0]) - reader.messages) * LENGTH
        assert unread < SENDERS[scenario][0] + KERNELS, f"{unread} bytes were sent and not read"


def pongs_overtake_at_server(program):
    with server(program, "kept") as (_, url), End("websockets", "client", "pings", 40, url=url) as client:
        client.ended(0, 40, 1000, "")


def pongs_overtake_at_client(program):
    with server("websockets", "pings", 40) as (end, url), End(program, "client", "kept", url=url):
        end.ended(0, 40, 1000, "")


def slow_reader(url, rate, receive_buffer):
    with Reader(url, receive_buffer) as reader:
        reader.slowly(WINDOW * rate // 4096, rate)
        assert reader.messages < BURST, "everything arrived, which proves nothing"
        while reader.messages < BURST:
            reader.read(LENGTH)
        reader.close(1000, "")
        while not reader.closed:
            reader.read(LENGTH)
        equal(reader.closed, (1000, ""))


def slow_link_lives(serving, asking, upwards):
    """3 MiB in one message over 800 kbit/s, 31 s, with heartbeats of 10 s at both ends that are answered within 8 s."""
    size = 3 << 20
    does = ("take", "give") if upwards else ("give", "take")
    counts = {"give": (1, 0), "take": (0, 1)}
    with (
        server(serving, does[0], 1, size) as (end, url),
        slow_link(url, 100_000) as link,
        End(asking, "client", does[1], 1, size, link) as client,
    ):
        end.ended(*counts[does[0]], 1000, "")
        client.ended(*counts[does[1]], 1000, "")


# --- one is gone


def hears_why(end):
    *_, code, reason, what = end.said("end")
    assert (code, reason) == ("4005", "gone"), f"{code} {reason!r}: {what}"


def server_hears_why(program, scenario, wait):
    with server(program, scenario) as (end, url), Reader(url) as reader:
        reader.read(LENGTH)
        reader.close(4005, "gone")
        if wait is None:
            return hears_why(end)
        time.sleep(wait)
        reader.reset()
        hears_why(end)


def client_hears_why(program, scenario, wait):
    with breaking_server(wait) as url, End(program, "client", scenario, url=url) as client:
        hears_why(client)


def streams_are_left(program, leave):
    """As many peers as there are slots open a stream and leave; then an honest one is served."""
    with server(program, "events", PLACES) as (_, url):
        for _ in range(PLACES):
            connection = connected(url)
            get(connection, url, "/events")
            leave(connection)
        with connected(url) as connection:
            answer = get(connection, url, "/")
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:60] or "nothing was answered"


def get(connection, url, path):
    """The head of the answer."""
    host = url.removeprefix("ws://").rstrip("/")
    head = b""
    with contextlib.suppress(ConnectionError):
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        while b"\r\n\r\n" not in head and (part := connection.recv(4096)):
            head += part
    return head


def leave_with_a_byte(connection):
    with contextlib.suppress(ConnectionError):
        connection.sendall(b"G")
    connection.close()


# --- the plan


def waiting_checks(feeds):
    """The checks that mostly wait, and run concurrently."""
    for program in OURS:
        for rate in (10_000, 40_000):
            for buffer in (None, 16 << 10):
                window = "a small window" if buffer else "a window that grows"
                name = f"a reader of {rate // 1000} KB/s with {window} lives for {WINDOW} s, and gets everything: {program}"
                yield name, slow_reader, feeds[program], rate, buffer
    for serving in OURS:
        for asking in OURS:
            for upwards in (False, True):
                way = "to the server" if upwards else "to the client"
                name = f"a long message {way} over a slow link outlives the heartbeat: server {serving}, client {asking}"
                yield name, slow_link_lives, serving, asking, upwards
    for program in OURS:
        for role, body in (("server", pongs_overtake_at_server), ("client", pongs_overtake_at_client)):
            yield f"pings of `websockets` are answered by a {role} that always has output: {program}", body, program
        for scenario, (_, drained) in SENDERS.items():
            for first in (0, drained):
                when = "after it has drained" if first else "at first"
                name = f'a slow reader\'s "stop" is heard by a server that sends ({scenario}), {when}: {program}'
                yield name, stop_is_heard, program, scenario, first
            name = f"a Close with 4005, then nothing, reaches a sending server ({scenario}): {program}"
            yield name, server_hears_why, program, scenario, None


def endings(lacking):
    for program in OURS:
        for how, leave in (("FIN", lambda it: it.close()), ("a reset", reset), ("a byte and FIN", leave_with_a_byte)):
            name = f"{PLACES} streams abandoned by {how} hold no slot: {program}"
            if lacking:
                not_run(name, lacking)
            else:
                yield name, streams_are_left, program, leave
        for hears, role in ((server_hears_why, "server"), (client_hears_why, "client")):
            for scenario in SENDERS:
                for wait in (0, 0.1):
                    after = f"then a reset {wait:g} s later" if wait else "then a reset at once"
                    name = f"a Close with 4005, {after}, reaches a sending {role} ({scenario}): {program}"
                    yield name, hears, program, scenario, wait


def descriptors():
    """Why this machine cannot have this many connections; empty if it can. Child processes inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = PLACES + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return f"a process may have {hard} files"
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return ""


def main(only=""):
    jobs = int(os.environ.get("JOBS", "2"))  # for checks that keep a processor busy
    lacking = descriptors()
    with contextlib.ExitStack() as stack:
        feeds = {program: stack.enter_context(server(program, "feed", BURST))[1] for program in OURS}
        waiting = stack.enter_context(ThreadPoolExecutor(64))
        working = stack.enter_context(ThreadPoolExecutor(jobs))
        plan = [(waiting, *one) for one in waiting_checks(feeds)]
        plan += [(working, *one) for one in [*endings(lacking), *bulk()]]
        results = [(name, pool.submit(body, *arguments)) for pool, name, body, *arguments in plan if only in name]
        for name, future in results:
            check(name, future.result)
    finish("both ways at once")


main(*sys.argv[1:])
