"""A room of five members with different terms of permessage-deflate: a message to all is compressed once for members
with equal terms, and echoes to single members are interleaved. Every member must receive exactly what was sent.

usage: room.py [--messages=N] [--seed=N]
  --messages=N  of each member, one in eight to all; default 300
"""

import asyncio
import json
import sys

from exchange import to_all
from peers import GUARD, client, wait_exit, server

from check import check, equal, finish  # noqa: I001 (peers says where)
from tap import Tap

MEMBERS = [
    ("ws", ""),
    ("ws", "server_no_context_takeover; client_no_context_takeover"),
    ("websockets", "server_max_window_bits=9; client_max_window_bits=9"),
    ("wsproto", "server_no_context_takeover"),
    ("ws", "none"),
]


async def run_room(adapter, terms, seed, count):
    """Returns what each member sent to all and received from the others, and the tap of the server."""
    async with server(adapter, terms) as port, Tap("127.0.0.1", port, "server") as tap:
        url = f"ws://127.0.0.1:{tap.port}/room"
        processes = [
            await client(kind, url, seed + k, count, terms, str(k), str(len(MEMBERS)))
            for k, (kind, terms) in enumerate(MEMBERS)
        ]
        try:
            for process in processes:
                line = await asyncio.wait_for(process.stdout.readline(), GUARD)
                equal(line, b"ready\n")
            ends = await asyncio.gather(*(wait_exit(process, b"go\n") for process in processes))
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
    return [json.loads(end) for end in ends], tap


def check_room(reports, tap, count):
    for receiver, (kind, _) in enumerate(MEMBERS):
        for sender in range(len(MEMBERS)):
            if sender != receiver:
                sent, received = reports[sender]["sent"], reports[receiver]["from_others"][str(sender)]
                equal(len(sent), to_all(count))
                differ = [index for index, (a, b) in enumerate(zip(sent, received, strict=True)) if a != b]
                assert not differ, f"what {sender} sent and {receiver}, {kind}, received differs: {differ[:5]}"
    equal(tap.faults, [])
    sides = [side for side, in tap.ended]
    equal(len(sides), len(MEMBERS))
    for side in sides:
        expected = 1 + count + (len(MEMBERS) - 1) * to_all(count)  # "=?", its own, and those to all
        equal(side.messages, expected)
        if side.terms is None:
            equal(side.compressed, 0)
        else:
            assert side.compressed > expected // 2, f"only {side.compressed} of {expected} were compressed"
            assert side.wire < side.size, f"{side.wire} bytes of {side.size}"
    equal(sum(side.terms is None for side in sides), 1)


def main():
    options = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    if options.keys() - {"--messages", "--seed"}:
        sys.exit(__doc__)
    count, seed = int(options.get("--messages") or 300), int(options.get("--seed") or 7692)
    for adapter in ("mio", "smol"):
        for terms in ("", "release", "server_no_context_takeover; server_max_window_bits=12"):
            name = f"five in a room of {adapter} ({terms}), {count} messages of each, seed {seed}"
            check(name, lambda: check_room(*asyncio.run(run_room(adapter, terms, seed, count)), count))
            seed += len(MEMBERS)
    finish("permessage-deflate, to many")


main()
