"""All pairs: clients send random messages to an echo and compare the echoes, under all terms of permessage-deflate,
with at least one side ours. The tap of ../../conformance checks what each pair negotiates, that each message follows
it, and how many bytes are on the wire.

usage: matrix.py [--all] [--messages=N] [--seed=N] [--only=TEXT]
  --all         all the terms, not some of them
  --messages=N  of each client; default 500
  --only=TEXT   the pairs whose names contain TEXT, with the same seeds as in a full run
"""

import asyncio
import os
import sys
from collections import defaultdict

from peers import OURS, client, wait_exit, server

from check import check, finish  # noqa: I001 (peers says where)
from tap import Tap

FLAGS = ["server_no_context_takeover", "client_no_context_takeover"]
BITS = ["server_max_window_bits", "client_max_window_bits"]
# Windows of both sides, and the sides without context takeover, in all pairwise combinations.
PAIRS = [
    (9, 9, "client"), (9, 12, "server"), (9, 15, ""),
    (12, 9, "server"), (12, 12, ""), (12, 15, "client"),
    (15, 9, ""), (15, 12, "client"), (15, 15, "server client"),
]
NEITHER = "; ".join(FLAGS)
SMALL = "server_max_window_bits=12; client_max_window_bits=9"
SMALL_TOO = "server_max_window_bits=9; client_max_window_bits=12"


def all_terms():
    for *windows, sides in PAIRS:
        flags = [f"{side}_no_context_takeover" for side in sides.split()]
        yield "; ".join([*flags, *[f"{name}={bits}" for name, bits in zip(BITS, windows)]])


def plan(everything):
    """(server, its terms, [(client, its terms)]) with all clients of one server."""
    terms = list(all_terms())
    offered = ["", *terms] if everything else ["", *terms[:2], terms[-1]]
    chosen = [*FLAGS, NEITHER, SMALL, SMALL_TOO, f"{SMALL}; {NEITHER}"] if everything else [f"{SMALL}; {NEITHER}"]
    others = ["ws", "websockets", "wsproto"]
    for kind in ("echo", "async_echo"):
        pairs_of_kind = [(peer, terms) for peer in others for terms in offered]
        yield kind, "", [*pairs_of_kind, ("Chromium", ""), ("tungstenite", "none"), ("ws", "none")]
    for kind in ("mio", "smol"):
        for terms in chosen:
            yield kind, terms, [(peer, "") for peer in [*others, "Chromium"]]
        yield kind, "release", [(peer, "") for peer in others]
    for kind in ("ws", "websockets"):
        yield kind, "", [(peer, terms) for peer in ("mio", "smol") for terms in [*offered, "release"]]
        for terms in chosen:
            yield kind, terms, [("mio", ""), ("smol", "")]
    for peer in ("mio", "smol"):  # one after another: it serves one at a time
        yield "tungstenite", "none", [(peer, "")]


def parsed(terms):
    pairs = [term.strip().partition("=") for term in terms.split(";") if term.strip() not in ("", "none", "release")]
    return {name: value for name, _, value in pairs}


def equal(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: {got}, not {wanted}")


def check_sides(sides, count, size, requested, is_compressed):
    """Checks the traffic of both sides that the tap saw; `requested` has the terms of each side."""
    for side in sides:
        equal(f"messages of the {side.tested}", side.messages, count)
        equal(f"bytes of the {side.tested}", side.size, size)
        equal("compression", side.terms is not None, is_compressed)
        if not is_compressed:
            equal(f"compressed messages of the {side.tested}", side.compressed, 0)
            continue
        for flag in FLAGS:
            equal(flag, flag in side.terms, any(flag in terms for terms in requested))
        for bits in BITS:
            wanted = min(int(terms.get(bits, 15)) for terms in requested)
            equal(bits, int(side.terms.get(bits, 15)), wanted)
        if side.compressed < count // 2:
            raise AssertionError(f"of {count} messages, the {side.tested} compressed {side.compressed}")
        if side.wire >= side.size:
            raise AssertionError(f"the {side.tested} made {side.wire} bytes of {side.size}")


async def run_pair(port, kind, server_terms, peer, terms, seed, count):
    """Runs a client; returns what the tap saw of both sides."""
    async with Tap("127.0.0.1", port, "server", "client") as tap:
        process = await client(peer, f"ws://127.0.0.1:{tap.port}/", seed, count, terms)
        size = int(await wait_exit(process))
    if tap.faults:
        raise AssertionError("on the wire: " + "; ".join(faults for _, faults in tap.faults))
    sides = next(sides for sides in tap.ended if sides[0].messages)
    is_compressed = "none" not in (server_terms, terms) and peer != "tungstenite"
    check_sides(sides, count, size, [parsed(server_terms), parsed(terms)], is_compressed)
    return sides


def print_table(results):
    line = "{:<12}{:<12}{:>6}{:>11}{:>9}{:>14}{:>14}"
    print("\n" + line.format("server", "client", "terms", "messages", "MB", "wire, server", "wire, client"))
    for (kind, peer), runs in sorted(results.items()):
        servers, clients = zip(*runs)
        size = sum(side.size for side in servers)
        share = [f"{100 * sum(side.wire for side in sides) / size:.1f} %" for sides in (servers, clients)]
        messages = sum(side.messages for side in servers)
        print(line.format(kind, peer, len(runs), messages, f"{size / 1e6:.1f}", *share))


def raise_it(fault):
    raise fault


async def main():
    options = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    if options.keys() - {"--all", "--messages", "--seed", "--only"}:
        sys.exit(__doc__)
    count = int(options.get("--messages") or 500)
    seed = int(options.get("--seed") or 7692)
    at_once, results, pair_count = asyncio.Semaphore(os.cpu_count() or 2), defaultdict(list), 0

    async def one(port, name, kind, server_terms, peer, terms, seed):
        async with at_once:
            try:
                sides = await run_pair(port, kind, server_terms, peer, terms, seed, count)
            except Exception as fault:  # the failure of this check
                check(name, raise_it, fault)
                return
        results[kind, peer].append(sides)
        share = [f"{100 * side.wire / side.size:.0f} %" for side in sides]
        check(f"{name}: {count} messages of {sides[0].size} bytes; on the wire {share[0]} and {share[1]}", bool, sides)

    for kind, server_terms, clients in plan("--all" in options):
        pairs = []
        for peer, terms in clients:
            assert kind in OURS or peer in OURS, (kind, peer)
            name = f"server {kind} ({server_terms}), client {peer} ({terms}), seed {seed}"
            if options.get("--only", "") in name:
                pairs.append((name, kind, server_terms, peer, terms, seed))
            seed += 1
        pair_count += len(pairs)
        if not pairs:
            continue
        try:
            async with server(kind, server_terms) as port:
                await asyncio.gather(*(one(port, *pair) for pair in pairs))
        except Exception as fault:  # the server's
            check(f"server {kind} ({server_terms})", raise_it, fault)
    if not pair_count:
        sys.exit("no pair matches")
    print_table(results)
    finish(f"permessage-deflate, {pair_count} pairs of {count} messages")


asyncio.run(main())
