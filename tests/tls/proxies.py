"""Our servers behind nginx and haproxy, which terminate TLS, pass it through, or re-encrypt."""

import asyncio
import os
import shutil
import ssl
import tempfile
from pathlib import Path

from programs import BIN, GUARD, OTHER, ROOT, Program, chain, curl, key, server, start_on_free_ports
from nginx import reverse_proxy  # noqa: E402
from check import check, equal, finish, not_run, text_of  # noqa: E402
from websockets.asyncio.client import connect  # noqa: E402

PAGE = b"<!doctype html><title>test</title>\n"
# What a proxy does with the connection, and whether our server has TLS.
WAYS = {"terminates TLS": False, "passes TLS through": True, "re-encrypts": True}


def haproxy(folder, routes):
    """One file with certificates and key; the sections of all routes."""
    both = Path(folder) / "both.pem"
    both.write_text(Path(chain()).read_text() + Path(key()).read_text())
    tunnel = f"ssl verify required ca-file {ROOT} verifyhost localhost sni str(localhost)"
    sections = ""
    for front, back, way in routes:
        mode = "tcp" if way == "passes TLS through" else "http"
        ends = "" if mode == "tcp" else f"ssl crt {both} alpn http/1.1"
        begins = tunnel if way == "re-encrypts" else ""
        sections += f"""
listen port{front}
    mode {mode}
    bind 127.0.0.1:{front} {ends}
    server ours 127.0.0.1:{back} {begins}
"""
    return f"defaults\n    timeout connect 5s\n    timeout client 600s\n    timeout server 600s\n{sections}"


def nginx(folder, routes):
    http = stream = ""
    for front, back, way in routes:
        if way == "passes TLS through":
            stream += f"server {{ listen 127.0.0.1:{front}; proxy_pass 127.0.0.1:{back}; }}\n"
            continue
        scheme = "https" if way == "re-encrypts" else "http"
        http += f"""
        server {{
            listen 127.0.0.1:{front} ssl;
            ssl_certificate {chain()};
            ssl_certificate_key {key()};
            location / {{ proxy_pass {scheme}://127.0.0.1:{back}; }}
        }}"""
    verified = f"""
        proxy_ssl_verify on;
        proxy_ssl_trusted_certificate {ROOT};
        proxy_ssl_verify_depth 2;
        proxy_ssl_server_name on;
        proxy_ssl_name localhost;"""
    return reverse_proxy(folder, verified + http, f"load_module {STREAM};\nstream {{ {stream} }}")


STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"
PROXIES = {"haproxy": (haproxy, ["-db", "-f"], []), "nginx": (nginx, ["-e", "stderr", "-c"], [STREAM])}


def started(name, path, folder, backs):
    configured, arguments, _ = PROXIES[name]

    def text(fronts):
        return configured(folder, list(zip(fronts, backs, WAYS)))

    return start_on_free_ports(name, [path, *arguments], Path(folder) / "proxy.conf", text, len(WAYS))


def page(port, root, wanted):
    status, body, report = curl(f"https://localhost:{port}/", root=root)
    equal((status, body if status == 0 else None, report), wanted)


async def echoes(port):
    """From a page of the proxy's origin."""
    context = ssl.create_default_context(cafile=ROOT)
    options = {"ssl": context, "origin": f"https://localhost:{port}", "max_size": None, "proxy": None}
    async with asyncio.timeout(GUARD), connect(f"wss://localhost:{port}/ws", **options) as socket:
        for message in (text_of(1 << 16), text_of(1 << 20), os.urandom(1 << 22)):
            await socket.send(message)
            assert await socket.recv() == message, "another message was echoed"
        await (await socket.ping(b"are you there"))
        await socket.close(4001, "done")
        equal(socket.protocol.close_rcvd.code, 4001)


def counted(adapter, port):
    with Program(BIN / f"client_{adapter}", f"wss://localhost:{port}/ws", 200, 20_000, 20, OPTIONS=f"ca={ROOT}") as client:
        client.wait_for(rb"done\n")
        equal(client.end()[0], 0)


def behind(name, path, adapter):
    with server(adapter, None) as plain, server(adapter) as tls, tempfile.TemporaryDirectory() as folder:
        proxy, fronts = started(name, path, folder, [(tls if way else plain).port for way in WAYS.values()])
        with proxy:
            for front, way in zip(fronts, WAYS):
                what = f"{name} {way} before ws-server-{adapter}"
                check(f"{what}: the page", page, front, ROOT, (0, PAGE, "200 1.1 1"))
                check(f"{what}: another root is not trusted", page, front, OTHER, (60, None, "000 0 1"))
                check(f"{what}: echoes, a ping and a close code", lambda: asyncio.run(echoes(front)))
                for client in ("mio", "smol"):
                    check(f"{what}: the client of ws-server-{client}", counted, client, front)


for name, (*_, needed) in PROXIES.items():
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if not path or not all(Path(file).exists() for file in needed):
        not_run(f"TLS behind {name}", f"{name} is not installed")
        continue
    for adapter in ("mio", "smol"):
        behind(name, path, adapter)
finish("TLS behind proxies")
