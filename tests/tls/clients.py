"""Our clients with TLS: `openssl s_server`, `ws` and `websockets` are their servers."""

import asyncio
import hashlib
import re
import ssl
import subprocess

from programs import (
    BIN, EXAMPLES, KINDS, OTHER, PEER, ROOT, TESTS, Program, SServer, chain, contains, fails, key, passes,
)  # fmt: skip
from check import check as checked, equal, finish  # noqa: E402
from command_line import Client  # noqa: E402
from websockets.asyncio.server import serve  # noqa: E402

VERSIONS = {"1.3": "-tls1_3", "1.2": "-tls1_2"}


def check(name, body, *arguments, **options):
    checked(name, lambda: body(*arguments, **options))


def exchange(server, client):
    server.transmit("to the client")
    equal(client.line(), "to the client")
    # If the server has requested a key update before, the client's update precedes this.
    client.type("to the server")
    equal(server.receive(), b"to the server")


def connected(server, client):
    server.accept()
    client.wait_for("connected")
    exchange(server, client)


def leave(server, client):
    server.close(1000)
    equal(client.status(), 0)


def echo(version, kind):
    with SServer(VERSIONS[version], "-alpn", "http/1.1", kind=kind) as server:
        with Client(server.url, "--once", "--ca", ROOT) as client:
            connected(server, client)
            leave(server, client)
        suite = {"1.3": "CIPHER is TLS_", "1.2": "CIPHER is ECDHE-"}[version]
        contains(server.output.decode(errors="replace"), suite, "ALPN protocols selected: http/1.1")


def resumption(version):
    with SServer(VERSIONS[version]) as server, Client(server.url, "--ca", ROOT) as client:
        connected(server, client)
        server.close(1012)
        client.wait_for("1012")
        server.wait_for(rb"Reused session-id")
        connected(server, client)


def key_updates():
    with SServer("-tls1_3", "-msg") as server, Client(server.url, "--once", "--ca", ROOT) as client:
        connected(server, client)
        for letter in "kKKk":
            server.update_key(letter)
            exchange(server, client)
        leave(server, client)
        equal(server.output.count(b", KeyUpdate"), 6)


def rejected(sentence, reason, arguments, server_arguments=(), kind="p256"):
    """The client reports this and exits with 1; the server prints its reason."""
    with SServer(*server_arguments, kind=kind) as server:
        with Client(server.url, "--once", *arguments) as client:
            client.wait_for(sentence)
            equal(client.status(), 1)
        server.wait_for(reason)


def key_hash(kind):
    command = ["openssl", "pkey", "-in", key(kind), "-pubout", "-outform", "DER"]
    return hashlib.sha256(subprocess.run(command, capture_output=True, check=True).stdout).hexdigest()


def pinned(kind):
    """Whatever the name of the certificate."""
    with SServer(kind=kind) as server, Client(server.url, "--once", "--pin", key_hash(kind)) as client:
        connected(server, client)
        leave(server, client)


def counted(adapter, url):
    """The test client: its messages are echoed in order, whole and once."""
    with Program(BIN / f"client_{adapter}", url, 500, 20_000, 20, OPTIONS=f"ca={ROOT}") as client:
        client.wait_for(rb"done\n")
        equal(client.end()[0], 0)


def tungstenite(adapter, version):
    """It is a suite for a client that echoes, and echoes to one that counts and closes."""
    echoes = EXAMPLES / {"mio": "conformance_client", "smol": "async_conformance_client"}[adapter]
    with Program(PEER, version, "server", chain(), key()) as server:
        url = server.wait_for(rb"(wss://localhost:\d+)/\n")[1].decode()
        passes([echoes, url, f"--ca={ROOT}"])
        server.wait_for(rb"/updateReports[^\n]*\n")
        cases = re.findall(rb"case (\d+): echoed, and closed\n", server.output)
        equal([int(case) for case in cases], list(range(1, 10)))
        counted(adapter, f"{url}/")
        server.wait_for(rb"echoed 500, closed by the client: 1000 done\n")
        assert b"failed" not in server.output, server.output
        for arguments in ([f"--ca={OTHER}"], []):
            fails([echoes, url, *arguments], "trust")
            server.wait_for(rb"failed: [^\n]*UnknownCA\n")


async def websockets(adapter, version, compression):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain(), key())
    context.minimum_version = context.maximum_version = ssl.TLSVersion[f"TLSv{version.replace('.', '_')}"]
    versions = []

    async def handle(socket):
        versions.append(socket.transport.get_extra_info("ssl_object").version())
        async for message in socket:
            await socket.send(message)

    async with serve(handle, "127.0.0.1", 0, ssl=context, compression=compression) as server:
        port = server.sockets[0].getsockname()[1]
        await asyncio.to_thread(counted, adapter, f"wss://localhost:{port}/")
    equal(versions, [f"TLSv{version}"])


for version in VERSIONS:
    for kind in KINDS:
        check(f"openssl s_server, {version}, with a key {kind}: messages both ways, and a close", echo, version, kind)
    check(f"openssl s_server, {version}: the next connection resumes the session", resumption, version)
check("openssl s_server: key updates between messages, with and without a request for ours", key_updates)
check("openssl s_server: a pinned key", pinned, "p256")
check("openssl s_server: a pinned key under another name", pinned, "elsewhere")
check("openssl s_server: another pinned key", rejected, "pin", rb"alert", ["--pin", key_hash("p384")])
check("openssl s_server: another root", rejected, "trust", rb"alert unknown ca", ["--ca", OTHER])
check("openssl s_server: the roots of the system", rejected, "trust", rb"alert unknown ca", [])
check("openssl s_server: another name", rejected, "elsewhere.test", rb"alert", ["--ca", ROOT], kind="elsewhere")
old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]
check("openssl s_server, 1.1 only", rejected, "share no version", rb"alert|unsupported protocol", ["--ca", ROOT], old)
for version in VERSIONS:
    demand = [VERSIONS[version], "-Verify", "1", "-verify_return_error"]
    name, reason = f"openssl s_server, {version}, that requires a certificate", rb"peer did not return a certificate"
    check(name, rejected, "set one with identity", reason, ["--ca", ROOT], demand)

environment = {"TLS_CHAIN": chain(), "TLS_KEY": key(), "TLS_ROOT": ROOT}
for option in ("--tls-min-v1.3", "--tls-max-v1.2"):
    command = ["node", option, TESTS / "interop" / "ws_server.mjs"]
    check(f"ws from npm, {option}: all checks of interop/ws_server.mjs", passes, command, **environment)
for adapter in ("mio", "smol"):
    for version in VERSIONS:
        name = f"tokio-tungstenite, {version}: ws-server-{adapter}, which fails without the root"
        check(name, tungstenite, adapter, version)
        for compression in (None, "deflate"):
            name = f"websockets from PyPI, {version}, {'with' if compression else 'without'} compression: ws-server-{adapter}"
            check(name, lambda: asyncio.run(websockets(adapter, version, compression)))
finish("our clients with TLS")
