"""Certificates of a local CA: openssl, curl, our clients and Chromium trust them once the CA is imported, and trust none
that the CA must not issue."""

import html
import os
import re
import shutil
import subprocess

from programs import CERTIFICATES, EXAMPLES, TESTS, Program, Server, contains, curl, passes, server
from check import check, equal, finish, not_run  # noqa: E402
from command_line import Client  # noqa: E402

FOLDER = CERTIFICATES / "local-ca"
CA, CA_KEY, SERVER = FOLDER / "ca" / "ca.crt", FOLDER / "ca" / "key.pem", FOLDER / "server.pem"
PAGE = TESTS.parent / "ws-host" / "src" / "tls" / "self_signed" / "trust_page.html"
PURPOSE = ["-x509_strict", "-purpose", "sslserver"]


def openssl(*arguments):
    """Runs openssl; returns its status and its output."""
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def home(name, ca, page, has_old_store):
    """A home folder whose NSS store trusts a CA, imported by the command that the page shows. Chromium reads the old store
    if there is one, and makes the new one otherwise."""
    folder = CERTIFICATES / name
    folder.mkdir()
    if has_old_store:
        (folder / ".pki" / "nssdb").mkdir(parents=True)
    downloads = folder / "Downloads"
    downloads.mkdir()
    shutil.copy(ca, downloads / "ca.crt")
    (command,) = [code for code in re.findall(r"<code>(.*?)</code>", page, re.S) if "certutil -d" in code]
    environment = {name: value for name, value in os.environ.items() if name != "XDG_DATA_HOME"}
    subprocess.run(
        ["sh", "-euc", html.unescape(command)], cwd=downloads, env={**environment, "HOME": str(folder)}, check=True
    )
    assert (folder / ".pki").exists() == has_old_store
    return folder


def issued(name, alternatives, is_ca=False, by=(CA, CA_KEY)):
    """A certificate for these names, issued with the key of the CA or another one; returns it and its key."""
    folder = CERTIFICATES
    key, request, extensions, certificate = (folder / f"{name}.{end}" for end in ("key", "csr", "ext", "pem"))
    extensions.write_text(
        f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth\n"
        f"basicConstraints=critical,CA:{str(is_ca).lower()}\n"
        f"subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        f"keyUsage=critical,{'keyCertSign' if is_ca else 'digitalSignature'}\n"
    )
    for command in (
        ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key],
        ["req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request],
        ["x509", "-req", "-in", request, "-CA", by[0], "-CAkey", by[1], "-set_serial", "0x1234567890", "-days", 30,
         "-extfile", extensions, "-out", certificate],
    ):  # fmt: skip
        status, output = openssl(*command)
        equal((status, output if status else ""), (0, ""))
    return certificate, key


def verifies():
    for name in (["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]):
        status, output = openssl("verify", *PURPOSE, *name, "-CAfile", CA, SERVER)
        equal((status, output), (0, f"{SERVER}: OK\n"))
    _, output = openssl("x509", "-in", CA, "-noout", "-fingerprint", "-sha256")
    return output.strip().split("=")[1]


def constraints():
    _, text = openssl("x509", "-in", CA, "-noout", "-text")
    contains(text, "X509v3 Name Constraints: critical", "DNS:localhost", "IP:192.168.0.0/255.255.0.0", "pathlen:1")
    for number, names in enumerate(
        ["DNS:example.com", "DNS:localhost,DNS:example.com", "IP:8.8.8.8", "IP:2001:db8:0:0:0:0:0:1", "DNS:dev"]
    ):
        certificate, _ = issued(f"refused-{number}", names)
        status, output = openssl("verify", *PURPOSE, "-CAfile", CA, certificate)
        equal(status, 2)
        contains(output, "permitted subtree violation")
    # Nor what a CA beneath it issues, such as its successor.
    beneath = issued("beneath", "DNS:localhost", is_ca=True)
    for names, expected in (("DNS:localhost", 0), ("DNS:localhost,DNS:example.com", 2)):
        certificate, _ = issued("of-beneath", names, by=beneath)
        equal(openssl("verify", *PURPOSE, "-CAfile", CA, "-untrusted", beneath[0], certificate)[0], expected)
    certificate, _ = issued("permitted", "DNS:nas.local,IP:10.1.2.3,IP:fd00:0:0:0:0:0:0:1")
    equal(openssl("verify", *PURPOSE, "-CAfile", CA, certificate)[0], 0)


def refused(kind):
    """Our client does not connect to a server for `localhost` and a name that the CA must not certify."""
    certificate, key = issued(f"both-{kind}", "DNS:localhost,DNS:example.com")
    listening = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key]
    with Program(*listening) as program:
        port = int(program.wait_for(rb"ACCEPT 127.0.0.1:(\d+)")[1])
        with Client(f"wss://localhost:{port}/", "--once", "--ca", str(CA)) as client:
            client.wait_for("must not certify")
        _, _, report = curl(f"https://localhost:{port}/", root=str(CA))
        contains(report, "000")


def counted(ours):
    url = f"https://{ours.authority}"
    failed = lambda: int(re.search(rb"tls_failed (\d+)", curl(f"{url}/counts", root=CA)[1])[1])
    before = failed()
    equal(curl(f"{url}/", root=None)[0], 60)
    assert failed() == before + 1, (before, failed())
    return failed


def chromium(ours, adapter):
    failed = counted(ours)
    certificate, key = issued("www", "DNS:www.example.com")
    listening = ["openssl", "s_server", "-WWW", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key]
    with Program(*listening) as other:
        port = int(other.wait_for(rb"ACCEPT 127.0.0.1:(\d+)")[1])
        before = failed()
        passes(
            ["node", TESTS / "tls" / "local_ca.mjs"], HTTPS_URL=f"https://{ours.authority}",
            REFUSED_URL=f"https://www.example.com:{port}/",
            HOME_FOLDER=str(home(f"home-{ours.port}", CA, PAGE.read_text(), adapter == "mio")),
        )  # fmt: skip
        assert failed() > before, "the browser without the CA is counted"


def chat(adapter):
    """A user who follows the page: compares, downloads, imports, and opens the chat."""
    example = EXAMPLES / {"mio": "chat", "smol": "async_chat"}[adapter]
    data = CERTIFICATES / f"data-{adapter}"
    with Server(example, "--tls", "--lan", XDG_DATA_HOME=str(data)) as ours:
        trust = ours.wait_for(rb"http://[^/ ]*:(\d+)/\n")[1].decode()
        fingerprint = ours.wait_for(rb"SHA-256: ([0-9A-F:]{95})\n")[1].decode()
        page = f"http://localhost:{trust}"
        text = curl(f"{page}/", root=None)[1].decode()
        contains(text, fingerprint, f":{ours.port}/")
        equal(curl(f"{page}/ws", root=None)[2], "404 1.1 1")
        ca = CERTIFICATES / f"downloaded-{adapter}.crt"
        ca.write_bytes(curl(f"{page}/ca.crt", root=None)[1])
        _, output = openssl("x509", "-in", ca, "-noout", "-fingerprint", "-sha256")
        equal(output.strip().split("=")[1], fingerprint)
        pem = data / "ws chat local CA" / "ca" / "ca.crt"
        equal(curl(f"{page}/ca.pem", root=None)[1], pem.read_bytes())
        # Each name of the certificate is one that both ports serve.
        _, names = openssl("x509", "-in", data / "ws chat local CA" / "server.pem", "-noout", "-ext", "subjectAltName")
        for host in re.findall(r"DNS:([^,\s]+)", names):
            for url, root in ((f"http://{host}:{trust}/", None), (f"https://{host}:{ours.port}/", pem)):
                equal(curl(url, "--connect-to", "::127.0.0.1:", root=root)[2], "200 1.1 1")
        # The chat is not served without TLS.
        equal(curl(f"http://localhost:{ours.port}/", root=None)[2][:3], "000")
        if shutil.which("certutil"):
            passes(
                ["node", TESTS / "tls" / "local_ca_chat.mjs"], HTTPS_URL=f"https://localhost:{ours.port}",
                TRUST_URL=f"{page}/", FINGERPRINT=fingerprint,
                HOME_FOLDER=str(home(f"home-chat-{adapter}", ca, text, adapter == "smol")),
            )  # fmt: skip
        else:
            not_run(f"Chromium with the chat's local CA, ws-server-{adapter}", "certutil is not installed")
    # Another start has the same CA.
    with Server(example, "--tls", "--lan", XDG_DATA_HOME=str(data)) as ours:
        ours.wait_for(rb"SHA-256: " + fingerprint.encode())


for adapter in ("mio", "smol"):
    with server(adapter, local_ca=FOLDER) as ours:
        check(f"ws-server-{adapter}: openssl verifies the certificate of a local CA by each name", verifies)
        if adapter == "mio":
            check("openssl refuses what a local CA must not issue", constraints)
        check(f"our client refuses what a local CA must not issue, {adapter}", lambda: refused(adapter))
        name = f"Chromium trusts a local CA for its names only, ws-server-{adapter}"
        if shutil.which("certutil"):
            check(name, lambda: chromium(ours, adapter))
        else:
            not_run(name, "certutil is not installed")
    check(f"chat --tls --lan, ws-server-{adapter}", lambda: chat(adapter))
finish("local CAs")
