"""Sends messages and checks their echoes: shared by the Python peers."""

import asyncio
import hashlib
import json
import random
import string
import sys
import time
from collections import deque

MESSAGES_IN_FLIGHT, BYTES_IN_FLIGHT = 32, 256 * 1024  # at most
PAUSE_EVERY, PAUSE = 100, 0.002  # messages; seconds
TO_ALL_EVERY = 8  # messages
REMEMBERED = 64 * 1024  # bytes of the last messages that may be repeated
WORDS = [
    "alpha", "beta", "gamma", "delta", '{"id":', '"name":"', '",', "}", "true", "null", " ", "\n", "0", "17", "3.25",
    "\u00e9", "\u6c34", "\U0001f600", "the quick brown fox jumps over the lazy dog",
]


def parse_terms(terms):
    """`server_max_window_bits=9; client_no_context_takeover` as keyword arguments."""
    pairs = [term.strip().partition("=") for term in terms.split(";") if term.strip()]
    return {name: int(value) if sign else True for name, sign, value in pairs}


def as_bytes(message):
    return message.encode() if isinstance(message, str) else bytes(message)


def digest(message):
    return hashlib.sha1((b"t" if isinstance(message, str) else b"b") + as_bytes(message)).hexdigest()[:16]


def to_all(count):
    """Returns how many of a member's messages go to all."""
    return -(-count // TO_ALL_EVERY)


class Exchange:
    """Seeded messages: most are short, some have up to 64 KiB; text and bytes, of words, of noise, or of earlier
    messages. As a member of a room, it marks each with its own digit: those that begin with `*`, one in eight, go to
    all; and it records what other members send."""

    def __init__(self, seed, count, member="", members=1):
        self.random = random.Random(seed)
        self.seed, self.count = seed, count
        self.member, self.members = member, members
        self.made = self.bytes = self.bytes_in_flight = 0
        self.in_flight = deque()
        self.remembered = b""
        self.sent_to_all = []  # digests
        self.from_others = {}  # by other member

    def next(self):
        """The next message, in fragments; None while enough are in flight, and after the last."""
        pauses = self.made and self.made % PAUSE_EVERY == 0
        full = len(self.in_flight) >= MESSAGES_IN_FLIGHT or self.bytes_in_flight >= BYTES_IN_FLIGHT
        if self.made == self.count or full or pauses and self.in_flight:
            return None
        if pauses:
            time.sleep(PAUSE)
        message = self.generate()
        if self.member:
            mark = ("=" if self.made % TO_ALL_EVERY else "*") + self.member
            message = (mark if isinstance(message, str) else mark.encode()) + message
            if mark[0] == "*":
                self.sent_to_all.append(digest(message))
        self.made += 1
        self.in_flight.append(message)
        self.bytes_in_flight += len(as_bytes(message))
        return self.fragments(message)

    def handle(self, message):
        if self.member:
            sender = chr(as_bytes(message)[1])
            if sender != self.member:
                self.from_others.setdefault(sender, []).append(digest(message))
                return
        wanted = self.in_flight.popleft()
        if type(message) is not type(wanted) or message != wanted:
            index = self.made - len(self.in_flight) - 1
            raise AssertionError(
                f"message {index} of seed {self.seed}: {type(message).__name__} of {len(message)}, "
                f"not the same as {type(wanted).__name__} of {len(wanted)}"
            )
        self.bytes += len(as_bytes(message))
        self.bytes_in_flight -= len(as_bytes(message))

    def is_done(self):
        count = sum(len(digests) for digests in self.from_others.values())
        others = (self.members - 1) * to_all(self.count)
        return self.made == self.count and not self.in_flight and count == others

    def generate(self):
        rng = self.random
        of = rng.randrange(100)
        size = rng.randint(0, 200 if of < 75 else 4096 if of < 95 else 65536)
        is_text, content = rng.random() < 0.5, rng.randrange(4)
        if content == 0:
            made = "".join(rng.choices(string.ascii_letters, k=size)) if is_text else rng.randbytes(size)
        elif content == 1 and not is_text and self.remembered:
            start = rng.randrange(len(self.remembered))
            made = self.remembered[start : start + size]
        else:
            made = ""
            while len(made) < size:
                made += rng.choice(WORDS)
            made = made if is_text else made.encode()
        self.remembered = (self.remembered + as_bytes(made))[-REMEMBERED:]
        return made

    def fragments(self, message):
        """Cuts one in four messages into up to five fragments, some of which may be empty."""
        count = self.random.randint(1, 4) if self.random.randrange(4) == 0 else 0
        cuts = [0, *sorted(self.random.randint(0, len(message)) for _ in range(count)), len(message)]
        return [message[a:b] for a, b in zip(cuts, cuts[1:])]


async def exchange_all(exchange, send, receive):
    """`send` sends a message in fragments, `receive` returns one."""
    progress = asyncio.Event()

    async def sender():
        while exchange.made < exchange.count:
            fragments = exchange.next()
            if fragments is None:
                progress.clear()
                await progress.wait()
            else:
                await send(fragments)

    sending = asyncio.create_task(sender())
    try:
        while not exchange.is_done():
            exchange.handle(await receive())
            progress.set()
        await sending
    finally:
        sending.cancel()


async def enter_room(send, receive):
    """Announces itself in the room, and waits for the other members."""
    await send(["=?"])
    assert await receive() == "=?"
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


def run(client):
    """A client program: URL SEED COUNT TERMS [MEMBER MEMBERS]. Calls `client(url, exchange, terms, in_room)`; prints how
    many bytes were echoed or, in a room, the digests sent to all and received from other members."""
    url, seed, count, terms, *room = sys.argv[1:]
    exchange = Exchange(int(seed), int(count), *room[:1], *map(int, room[1:]))
    asyncio.run(client(url, exchange, parse_terms(terms), bool(room)))
    print(json.dumps({"sent": exchange.sent_to_all, "from_others": exchange.from_others}) if room else exchange.bytes)
