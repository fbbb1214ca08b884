"""The peers, and the commands that start them."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent.parent), str(HERE.parent.parent / "conformance")]

BUILT = Path(os.environ["BUILT"])  # cargo's folder of release builds
GUARD = 600  # seconds until a program counts as hung
PIPE = asyncio.subprocess.PIPE


def node(script):
    return ["node", str(HERE / script)]


def python(script):
    return [sys.executable, str(HERE / script)]


# The commands of servers with given terms; the examples accept a client's offer.
SERVERS = {
    "echo": lambda terms: [BUILT / "examples/echo", "0", "deflate"],
    "async_echo": lambda terms: [BUILT / "examples/async_echo", "0", "deflate"],
    "mio": lambda terms: [BUILT / "deflate_server", "0", "mio", terms],
    "smol": lambda terms: [BUILT / "deflate_server", "0", "smol", terms],
    "ws": lambda terms: [*node("ws_server.mjs"), terms],
    "websockets": lambda terms: [*python("websockets_server.py"), terms],
    "tungstenite": lambda terms: [BUILT / "deflate_tungstenite", "server"],
}
# Followed by URL SEED COUNT TERMS.
CLIENTS = {
    "mio": [BUILT / "deflate_client", "mio"],
    "smol": [BUILT / "deflate_client", "smol"],
    "ws": node("ws_client.mjs"),
    "websockets": python("websockets_client.py"),
    "wsproto": python("wsproto_client.py"),
    "tungstenite": [BUILT / "deflate_tungstenite", "client"],
    "Chromium": node("../../browser/deflate.mjs"),
}
OURS = {"echo", "async_echo", "mio", "smol"}


@asynccontextmanager
async def server(kind, terms):
    """Starts a server; yields its port. An early exit is an error."""
    process = await asyncio.create_subprocess_exec(*SERVERS[kind](terms), stdout=PIPE)
    try:
        address = (await asyncio.wait_for(process.stdout.readline(), GUARD)).decode()
        yield int(address.strip().strip("/").rpartition(":")[2])
        if process.returncode is not None:
            raise AssertionError(f"the server {kind} ended with {process.returncode}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def client(kind, url, seed, count, terms, *arguments):
    return await asyncio.create_subprocess_exec(
        *CLIENTS[kind], url, str(seed), str(count), terms, *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=1 << 24
    )


async def wait_exit(process, given=None):
    """Waits for a client to exit; returns its remaining output, and raises if it fails."""
    try:
        out, errors = await asyncio.wait_for(process.communicate(given), GUARD)
    except TimeoutError:
        process.kill()
        raise AssertionError(f"no end within {GUARD} s") from None
    if process.returncode:
        raise AssertionError(" | ".join(errors.decode(errors="replace").strip().splitlines()[-8:]))
    return out.decode()
