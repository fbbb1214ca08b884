"""Our servers with TLS, of $ADAPTER: openssl, curl, `ws` and `websockets` are their clients."""

import asyncio
import os
import re
import ssl
import subprocess

from programs import (
    CERTIFICATES, EXAMPLES, GUARD, KINDS, OTHER, PEER, ROOT, TESTS, Server, SClient, contains, curl, fails, passes,
    server,
)  # fmt: skip
from check import SIZES, check as checked, equal, finish, text_of  # noqa: E402
from websockets.asyncio.client import connect  # noqa: E402
from websockets.exceptions import InvalidStatus  # noqa: E402


def check(name, body, *arguments, **options):
    checked(name, lambda: body(*arguments, **options))


ADAPTER = os.environ["ADAPTER"]
PAGE = b"<!doctype html><title>test</title>\n"
VERSIONS = {"1.3": "-tls1_3", "1.2": "-tls1_2"}
WS = TESTS / "interop" / "ws.mjs"


def page(port, version):
    with SClient(port, VERSIONS[version], "-alpn", "h2,http/1.1") as client:
        status, output = client.get()
    contains(output, f"New, TLSv{version}", "Verify return code: 0 (ok)", "ALPN protocol: http/1.1", PAGE.decode())
    # Without the server's close_notify it would report an unexpected EOF.
    contains(output, "\nclosed\n")
    equal(status, 0)


def resumption(port, version):
    session = CERTIFICATES / f"session-{ADAPTER}-{version}"
    with SClient(port, VERSIONS[version], "-sess_out", session) as client:
        contains(client.get()[1], f"New, TLSv{version}", PAGE.decode())
    with SClient(port, VERSIONS[version], "-sess_in", session) as client:
        status, output = client.get()
    contains(output, f"Reused, TLSv{version}", PAGE.decode())
    equal(status, 0)


def early_data(port):
    session = CERTIFICATES / f"session-{ADAPTER}-1.3"
    details = subprocess.run(["openssl", "sess_id", "-in", session, "-noout", "-text"], capture_output=True, text=True)
    contains(details.stdout, "Max Early Data: 0")


def key_updates(port):
    with SClient(port, "-tls1_3", "-msg") as client:
        client.upgrade()
        for letter in "kKKk":
            client.update_key(letter)
            client.echo(f"after {letter}")
    updates = re.findall(rb"(>>>|<<<) TLS 1.3, Handshake [^\n]*KeyUpdate", client.output)
    equal((updates.count(b">>>"), updates.count(b"<<<")), (4, 2))


def rejects(port, arguments, alert):
    with SClient(port, *arguments) as client:
        status, output = client.get()
    contains(output, alert)
    equal(status, 1)


def renegotiation(port):
    with SClient(port, "-tls1_2") as client:
        client.upgrade()
        client.send("R\n")
        status, output = client.end()
    contains(output, "no renegotiation")
    equal(status, 1)


def untrusted(port, root):
    with SClient(port, root=root) as client:
        status, output = client.get()
    contains(output, "verify error")
    equal(status, 1)


def kinds(kind):
    with server(ADAPTER, kind) as ours:
        for version in VERSIONS:
            page(ours.port, version)


def curled(wanted, url, *arguments, root=ROOT):
    status, body, report = curl(*arguments, url, root=root)
    equal((status, body if status == 0 else None, report), wanted)


def wrong_name(port):
    status, *_ = curl("--connect-to", f"elsewhere.test:443:127.0.0.1:{port}", "https://elsewhere.test/")
    equal(status, 60)


def upload(url):
    file = CERTIFICATES / f"upload-{ADAPTER}"
    file.write_bytes(os.urandom(1 << 19))
    status, body, report = curl("--data-binary", f"@{file}", f"{url}/echo")
    equal((status, body == file.read_bytes(), report), (0, True, "200 1.1 1"))


def without_tls(port):
    status, _, report = curl(f"http://localhost:{port}/")
    assert status in (52, 56), f"status {status}: {report}"  # an empty answer, or a reset


# With asyncio: a socket that two threads read and write at once, as in `websockets.sync`, may lose a write under TLS 1.3
# in CPython 3.11, whatever the server is.
async def websockets(port, version, compression):
    context = trusting(ROOT)
    context.maximum_version = ssl.TLSVersion[f"TLSv{version.replace('.', '_')}"]
    options = {"ssl": context, "compression": compression, "origin": f"https://localhost:{port}", "max_size": None}
    async with asyncio.timeout(GUARD), connect(f"wss://localhost:{port}/ws", proxy=None, **options) as socket:
        equal(socket.transport.get_extra_info("ssl_object").version(), f"TLSv{version}")
        for size in SIZES:
            for message in (text_of(size), os.urandom(size)):
                await socket.send(message)
                assert await socket.recv() == message, f"another message of {size} bytes was echoed"
        await socket.send(["one ", "", "two"])
        equal(await socket.recv(), "one two")
        await (await socket.ping(b"are you there"))
        await socket.close(4001, "done")
        equal(socket.protocol.close_rcvd.code, 4001)


def trusting(root):
    return ssl.create_default_context(cafile=root)


async def rejected(port, reason, root=ROOT, origin=None):
    try:
        async with connect(f"wss://localhost:{port}/ws", ssl=trusting(root), proxy=None, origin=origin):
            pass
    except (OSError, InvalidStatus) as error:
        contains(str(error), reason)
    else:
        raise AssertionError("it was connected")


def failures(url):
    """How many connections have ended because TLS failed."""
    return int(re.search(rb"tls_failed (\d+)\n", curl(f"{url}/counts")[1])[1])


def distrusted(url, command):
    """The client fails, and so does the server's end."""
    before = failures(url)
    fails(command, "InvalidCertificate(UnknownIssuer)")
    assert any(failures(url) == before + 1 for _ in range(500)), f"{failures(url)} failures, {before} before"


def chat():
    """The chat's certificate is self-signed, and made when the chat starts."""
    with Server(EXAMPLES / {"mio": "chat", "smol": "async_chat"}[ADAPTER], "--tls") as ours:
        with SClient(ours.port, root=None) as client:
            _, output = client.get()
        own = CERTIFICATES / f"chat-{ADAPTER}.pem"
        own.write_text(re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", output, re.S)[0])
        # From yesterday, and for 397 days.
        for days, status in ((395, 0), (397, 1)):
            command = ["openssl", "x509", "-in", own, "-noout", "-checkend", str(days * 24 * 60 * 60)]
            equal(subprocess.run(command, stdout=subprocess.DEVNULL).returncode, status)
        url = f"https://127.0.0.1:{ours.port}"
        passes([TESTS / "interop" / "curl.sh"], HTTP_URL=url, CURL_CA_BUNDLE=str(own))
        equal(curl(f"{url}/", root=ROOT)[0], 60)


def checks(ours):
    port, url = ours.port, f"https://{ours.authority}"
    for version in VERSIONS:
        check(f"openssl s_client, {version}: the page, then close_notify", page, port, version)
        check(f"openssl s_client, {version}: a session is resumed", resumption, port, version)
    check("openssl s_client, 1.3: tickets allow no early data", early_data, port)
    check("openssl s_client, 1.3: key updates between echoes, with and without a request for ours", key_updates, port)
    check("openssl s_client, 1.2: renegotiation is rejected", renegotiation, port)
    old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]
    check("openssl s_client, 1.1: rejected with an alert", rejects, port, old, "alert handshake failure")
    check("openssl s_client, h2 only: rejected with an alert", rejects, port, ["-alpn", "h2"], "alert no application protocol")
    cbc = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"]
    check("openssl s_client, an old cipher only: rejected with an alert", rejects, port, cbc, "alert handshake failure")
    check("openssl s_client with another root: the certificate is not trusted", untrusted, port, OTHER)
    for kind in KINDS:
        check(f"openssl s_client, both versions, with a key {kind}", kinds, kind)

    check("curl: the page", curled, (0, PAGE, "200 1.1 1"), f"{url}/")
    check("curl, 1.2: the page", curled, (0, PAGE, "200 1.1 1"), f"{url}/", "--tls-max", "1.2")
    check("curl, 1.3: the page", curled, (0, PAGE, "200 1.1 1"), f"{url}/", "--tlsv1.3")
    check("curl: a page of 1 MiB", curled, (0, b"x" * (1 << 20), "200 1.1 1"), f"{url}/large")
    check("curl: a page in chunks", curled, (0, b"one two three", "200 1.1 1"), f"{url}/stream")
    check("curl: an upload of 512 KiB comes back", upload, url)
    for root, what in ((OTHER, "with another root"), (None, "without a root")):
        check(f"curl {what}: the certificate is not trusted", curled, (60, None, "000 0 1"), f"{url}/", root=root)
    check("curl: another name is not trusted", wrong_name, port)
    check("curl without TLS is closed", without_tls, port)

    urls = {"WS_URL": f"wss://{ours.authority}", "WS_PATH": "/ws"}
    for option in ("--tls-min-v1.3", "--tls-max-v1.2"):
        check(f"ws from npm, {option}: its suite", passes, ["node", option, WS], **urls, NODE_EXTRA_CA_CERTS=ROOT)
    reason = "unable to get local issuer certificate"
    for extra, what in (({}, "without the root"), ({"NODE_EXTRA_CA_CERTS": OTHER}, "with another root")):
        check(f"ws from npm {what}: the certificate is not trusted", fails, ["node", WS], reason, **urls, **extra)

    for version in VERSIONS:
        for compression in (None, "deflate"):
            name = f"websockets from PyPI, {version}, {'with' if compression else 'without'} compression"
            check(name, lambda: asyncio.run(websockets(port, version, compression)))
    peer = [PEER, "1.3", "client", f"{urls['WS_URL']}/ws"]
    for version in VERSIONS:
        name = f"tokio-tungstenite, {version}: echoes of all sizes, a ping, and closes from either side"
        check(name, passes, [PEER, version, *peer[2:], ROOT])
    for arguments, what in (([], "without the root"), ([OTHER], "with another root")):
        check(f"tokio-tungstenite {what}: the certificate is not trusted", distrusted, url, [*peer, *arguments])
    name = "websockets from PyPI, from a page of another origin: 403"
    check(name, lambda: asyncio.run(rejected(port, "403", origin="https://elsewhere.test")))
    for root, what in ((None, "without the root"), (OTHER, "with another root")):
        name = f"websockets from PyPI {what}: the certificate is not trusted"
        check(name, lambda: asyncio.run(rejected(port, "certificate verify failed", root)))


with server(ADAPTER) as ours:
    checks(ours)
    # After all the failures above.
    check("the page at the end", page, ours.port, "1.3")
check("the chat with its own certificate, and all checks of interop/curl.sh", chat)
finish(f"ws-server-{ADAPTER} with TLS")
