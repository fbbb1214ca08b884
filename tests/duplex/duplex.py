"""Both ends send at once, read slowly, or vanish amid it all: the programs of both adapters with default settings,
against themselves, each other, and other libraries.

usage: duplex.py [TEXT]
  TEXT  only the checks whose names contain it

Counts and the output of the ends decide. Times only set the rate of slow readers and links,
and guard against hanging.
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
PACED = 1024  # messages: 64 MiB
# Counts for other message sizes: shorter ones, and ones over the high mark, half the cap, and the cap.
SIZES = {1 << 10: (15 << 10, 32 << 10), 2 << 20: (7, 32), 9 << 20: (1, 4), 16 << 20: (1, 4)}
# For a peer that reads only after it has sent everything, an echo can hold at most half its cap.
HELD = 120
# For the senders that keep sending: the maximum queued bytes, and after how many messages they refill.
SENDERS = {"full": (16 << 20, 600), "congested": (1 << 20, 200), "kept": (512 << 10, 200)}
KERNEL_BUFFERS = 8 << 20  # the most bytes that both hold, and rounding
WINDOW = 42  # seconds: longer than the 30 in which a reader must read something
SLOTS = 2000


class End(Process):
    """A program at one end of a connection."""

    def __init__(self, program, role, scenario, count=0, length=LENGTH, url=None):
        command = [*PROGRAMS[program], role, scenario, count, length, *([url] if url else [])]
        super().__init__(*map(str, command), errors=None)

    def output_of(self, event):
        """Returns the fields that it prints for an event."""
        for line in self.lines():
            name, *rest = line.split("\t")
            if name == event:
                return rest
        raise AssertionError(f"it ended and never printed {event!r}")

    def check_end(self, *wanted):
        """Checks its messages sent, messages received, code and reason."""
        *got, what = self.output_of("end")
        if got != [str(want) for want in wanted]:
            raise AssertionError(f"got {got}, wanted {list(wanted)}: {what}")


@contextlib.contextmanager
def server(program, *arguments):
    """Starts a server; yields it and its URL."""
    with End(program, "server", *arguments) as end:
        url = end.line()
        assert url, "the server printed no URL"
        yield end, url


# --- both ends send


def both_send(serving, connecting, scenario, count, length=LENGTH):
    what = scenario, count, length
    with server(serving, *what) as (end, url), End(connecting, "client", *what, url) as client:
        client.check_end(count, count, 1000, "")
        end.check_end(count, count, 1000, "")


def upload(serving, connecting, count):
    with server(serving, "echo") as (end, url), End(connecting, "client", "upload", count, url=url) as client:
        client.check_end(count, count, 1000, "")
        end.check_end(count, count, 1000, "")


def pairs():
    for serving in PROGRAMS:
        for connecting in PROGRAMS:
            if serving in OURS or connecting in OURS:
                yield serving, connecting


def bulk():
    for serving, connecting in pairs():
        names = f"server {serving}, client {connecting}"
        yield f"15 MiB each way by plain sends: {names}", both_send, serving, connecting, "burst", BURST
        yield f"64 MiB each way with back-pressure: {names}", both_send, serving, connecting, "paced", PACED
        # These two send everything before they read anything.
        count = HELD if connecting in ("websockets", "tungstenite") else BURST
        yield f"{count} messages are echoed: {names}", upload, serving, connecting, count
        if serving in OURS and connecting in OURS:
            for size, (all_at_once, paced) in SIZES.items():
                for how, scenario, count in (("by plain sends", "burst", all_at_once), ("with back-pressure", "paced", paced)):
                    # The frame header takes ten bytes of the size.
                    name = f"{count} × {size} bytes each way {how}: {names}"
                    yield name, both_send, serving, connecting, scenario, count, size - 10


# --- one reads slowly


def stop_is_received(program, scenario, first):
    """The server receives "stop" at once while the peer reads on at 40 KB/s, not after everything before it was
    read."""
    with server(program, scenario) as (end, url), Reader(url, 64 << 10) as reader:
        while reader.messages < first:  # the server has drained and refilled by then
            reader.read(LENGTH)
        reader.read_slowly(10, 40_000)
        reader.send("stop")
        reads = 0
        with ThreadPoolExecutor(1) as waiting:
            stopped = waiting.submit(end.output_of, "stopped")
            while not stopped.done() and reads < 20:
                reader.read_slowly(1, 40_000)
                reads += 1
            if not stopped.done():
                end.end()
                raise AssertionError(f"not within {reads} reads of 4 KiB")
            unread = (int(stopped.result()[0]) - reader.messages) * LENGTH
        assert unread < SENDERS[scenario][0] + KERNEL_BUFFERS, f"{unread} bytes were sent and not read"


def pongs_overtake_at_server(program):
    with server(program, "kept") as (_, url), End("websockets", "client", "pings", 40, url=url) as client:
        client.check_end(0, 40, 1000, "")


def pongs_overtake_at_client(program):
    with server("websockets", "pings", 40) as (end, url), End(program, "client", "kept", url=url):
        end.check_end(0, 40, 1000, "")


def slow_reader(url, rate, receive_buffer):
    with Reader(url, receive_buffer) as reader:
        reader.read_slowly(WINDOW * rate // 4096, rate)
        assert reader.messages < BURST, "everything arrived, so the check proves nothing"
        while reader.messages < BURST:
            reader.read(LENGTH)
        reader.close(1000, "")
        while not reader.closed:
            reader.read(LENGTH)
        equal(reader.closed, (1000, ""))


def message_outlives_heartbeat(serving, connecting, upwards):
    """3 MiB in one message over 800 kbit/s, 31 s, with heartbeats of 10 s at both ends that are answered within 8 s."""
    size = 3 << 20
    scenarios = ("take", "give") if upwards else ("give", "take")
    counts = {"give": (1, 0), "take": (0, 1)}
    with (
        server(serving, scenarios[0], 1, size) as (end, url),
        slow_link(url, 100_000) as link,
        End(connecting, "client", scenarios[1], 1, size, link) as client,
    ):
        end.check_end(*counts[scenarios[0]], 1000, "")
        client.check_end(*counts[scenarios[1]], 1000, "")


# --- one vanishes


def check_close(end):
    *_, code, reason, what = end.output_of("end")
    assert (code, reason) == ("4005", "gone"), f"{code} {reason!r}: {what}"


def server_reports_close(program, scenario, wait):
    with server(program, scenario) as (end, url), Reader(url) as reader:
        reader.read(LENGTH)
        reader.close(4005, "gone")
        if wait is None:
            return check_close(end)
        time.sleep(wait)
        reader.reset()
        check_close(end)


def client_reports_close(program, scenario, wait):
    with breaking_server(wait) as url, End(program, "client", scenario, url=url) as client:
        check_close(client)


def abandoned_streams_free_slots(program, leave):
    """As many peers as there are slots open a stream and leave; then an honest one is served."""
    with server(program, "events", SLOTS) as (_, url):
        for _ in range(SLOTS):
            connection = connected(url)
            get(connection, url, "/events")
            leave(connection)
        with connected(url) as connection:
            answer = get(connection, url, "/")
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:60] or "no response"


def get(connection, url, path):
    """Returns the head of the response."""
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


# --- the checks


def waiting_checks(feeds):
    """Yields the checks that mostly wait, and run concurrently."""
    for program in OURS:
        for rate in (10_000, 40_000):
            for buffer in (None, 16 << 10):
                window = "a small window" if buffer else "a window that grows"
                name = f"a reader of {rate // 1000} KB/s with {window} stays connected for {WINDOW} s and receives everything: {program}"
                yield name, slow_reader, feeds[program], rate, buffer
    for serving in OURS:
        for connecting in OURS:
            for upwards in (False, True):
                way = "to the server" if upwards else "to the client"
                name = f"a long message {way} over a slow link outlives the heartbeat: server {serving}, client {connecting}"
                yield name, message_outlives_heartbeat, serving, connecting, upwards
    for program in OURS:
        for role, body in (("server", pongs_overtake_at_server), ("client", pongs_overtake_at_client)):
            yield f"pings of `websockets` are answered by a {role} that always has output: {program}", body, program
        for scenario, (_, drained) in SENDERS.items():
            for first in (0, drained):
                when = "after it has drained" if first else "at first"
                name = f'a slow reader\'s "stop" is received by a server that sends ({scenario}), {when}: {program}'
                yield name, stop_is_received, program, scenario, first
            name = f"a Close with 4005, then nothing, reaches a sending server ({scenario}): {program}"
            yield name, server_reports_close, program, scenario, None


def endings(unavailable):
    for program in OURS:
        for how, leave in (("FIN", lambda connection: connection.close()), ("a reset", reset), ("a byte and FIN", leave_with_a_byte)):
            name = f"{SLOTS} streams abandoned by {how} hold no slot: {program}"
            if unavailable:
                not_run(name, unavailable)
            else:
                yield name, abandoned_streams_free_slots, program, leave
        for body, role in ((server_reports_close, "server"), (client_reports_close, "client")):
            for scenario in SENDERS:
                for wait in (0, 0.1):
                    after = f"then a reset {wait:g} s later" if wait else "then a reset at once"
                    name = f"a Close with 4005, {after}, reaches a sending {role} ({scenario}): {program}"
                    yield name, body, program, scenario, wait


def descriptors():
    """Raises the limit, which child processes inherit; returns why this machine cannot, or an empty string."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SLOTS + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return f"a process may open {hard} files"
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return ""


def main(only=""):
    jobs = int(os.environ.get("JOBS", "2"))  # for checks that keep a processor busy
    unavailable = descriptors()
    with contextlib.ExitStack() as stack:
        feeds = {program: stack.enter_context(server(program, "feed", BURST))[1] for program in OURS}
        waiting = stack.enter_context(ThreadPoolExecutor(64))
        working = stack.enter_context(ThreadPoolExecutor(jobs))
        plan = [(waiting, *one) for one in waiting_checks(feeds)]
        plan += [(working, *one) for one in [*endings(unavailable), *bulk()]]
        results = [(name, pool.submit(body, *arguments)) for pool, name, body, *arguments in plan if only in name]
        for name, future in results:
            check(name, future.result)
    finish("both ways at once")


main(*sys.argv[1:])
