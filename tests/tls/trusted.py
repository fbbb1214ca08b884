"""The clients of our servers behind nginx and haproxy, with the configurations that docs/recipes.md shows."""

import asyncio
import re
import shutil
import ssl
import tempfile
from pathlib import Path

from programs import BIN, GUARD, ROOT, Server, chain, key, start_on_free_ports
from nginx import KINDS  # noqa: E402
from check import check, equal, finish, not_run  # noqa: E402
from websockets.asyncio.client import connect  # noqa: E402

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "recipes.md").read_text()
SECTION = GUIDE.split("\n## A server behind a proxy\n")[1].split("\n## ")[0]
STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"
# An address of this machine other than the proxy's.
CLIENT = "127.0.0.5"
SPOOFS = {
    "X-Forwarded-For": "198.51.100.7",
    "X-Forwarded-Proto": "ftp",
    "X-Forwarded-Host": "evil.example",
    "Forwarded": 'for=198.51.100.7;proto=ftp;host=evil.example, for="',
}


def block(language, words):
    """The block of the section with these words."""
    blocks = re.findall(rf"```{language}\n(.*?)```", SECTION, re.S)
    found = [text for text in blocks if all(word in text for word in words)]
    assert len(found) == 1, f"{len(found)} blocks of {language} with {words}"
    return found[0]


def adapted(text, folder, front, back):
    """The block with the ports of a test, and with its files."""
    both = Path(folder) / "both.pem"
    both.write_text(Path(chain()).read_text() + Path(key()).read_text())
    text = text.replace("listen 443", f"listen 127.0.0.1:{front}").replace("bind :443", f"bind 127.0.0.1:{front}")
    text = text.replace("127.0.0.1:8700", f"127.0.0.1:{back}")
    text = text.replace("/etc/ssl/app.pem", str(both)).replace("/etc/ssl/app.key", key())
    return text


def nginx(text, folder, is_stream):
    load = f"load_module {STREAM};" if is_stream else ""
    paths = "" if is_stream else "access_log off;" + "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in KINDS)
    kind = "stream" if is_stream else "http"
    main = f"{load} daemon off; master_process off; pid {folder}/pid; error_log stderr emerg; events {{}}"
    return f"{main}\n{kind} {{\n{paths}{text}\n}}\n"


def haproxy(text):
    timeouts = "".join(f"    timeout {which} 60s\n" for which in ("connect", "client", "server", "tunnel"))
    return f"defaults\n    mode http\n{timeouts}\n{text}\n"


# Words of a block, whether the proxy speaks TLS with the client, the kind that our server trusts, and replacements in the block.
CASES = [
    ("nginx", ["X-Forwarded-For"], True, "fields", {}),
    ("nginx", ["Forwarded \"for="], True, "list", {}),
    ("nginx", ["proxy_protocol on"], False, "header", {}),
    ("haproxy", ["option forwardfor"], True, "fields", {}),
    ("haproxy", ["send-proxy-v2"], False, "header", {}),
    ("haproxy", ["send-proxy-v2"], False, "header", {"send-proxy-v2": "send-proxy"}),
]


def started(name, path, folder, text, back):
    def configured(fronts):
        mine = adapted(text, folder, *fronts, back)
        return nginx(mine, folder, "proxy_protocol" in mine) if name == "nginx" else haproxy(mine)

    arguments = ["-e", "stderr", "-c"] if name == "nginx" else ["-db", "-f"]
    proxy, [front] = start_on_free_ports(name, [path, *arguments], Path(folder) / "proxy.conf", configured, 1)
    return proxy, front


async def ask(port, with_tls, spoofs, source=CLIENT):
    """Gets the page that says who the client is."""
    context = ssl.create_default_context(cafile=ROOT) if with_tls else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost" if with_tls else None, local_addr=(source, 0)
    )
    fields = "".join(f"{name}: {value}\r\n" for name, value in spoofs.items())
    writer.write(f"GET /client HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{fields}\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    return answer.split("\r\n\r\n")[-1].strip()


def client(port, with_tls, spoofs):
    scheme = "https" if with_tls else "http"
    answer = asyncio.run(asyncio.wait_for(ask(port, with_tls, spoofs), GUARD))
    equal(answer, f"{CLIENT} {scheme}://localhost:{port}/client")


async def echoes(port, with_tls, page):
    context = ssl.create_default_context(cafile=ROOT) if with_tls else None
    scheme = "wss" if with_tls else "ws"
    options = {"ssl": context, "origin": f"{page}://localhost:{port}", "proxy": None, "additional_headers": SPOOFS}
    async with asyncio.timeout(GUARD), connect(f"{scheme}://localhost:{port}/ws", **options) as ws:
        await ws.send("hello")
        equal(await ws.recv(), "hello")


def is_foreign(port):
    try:
        asyncio.run(echoes(port, True, "http"))
    except Exception as error:  # noqa: BLE001
        assert "403" in str(error), error
    else:
        raise AssertionError("a page without TLS was let in")


def direct(port, kind):
    """A client that is not the proxy is not believed."""
    spoofs = {} if kind == "header" else SPOOFS
    answer = asyncio.run(asyncio.wait_for(ask(port, False, spoofs), GUARD))
    equal(answer, f"{CLIENT} http://localhost:{port}/client")


for name, words, with_tls, kind, replaced in CASES:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if not path or ("proxy_protocol on" in words and not Path(STREAM).exists()):
        not_run(f"clients behind {name}", f"{name} is not installed")
        continue
    text = block(name, words)
    for old, new in replaced.items():
        text = text.replace(old, new)
    for adapter in ("mio", "smol"):
        options = f"trust=127.0.0.1,{kind}"
        ours = Server(BIN / f"server_{adapter}", OPTIONS=options)
        with ours, tempfile.TemporaryDirectory() as folder:
            proxy, front = started(name, path, folder, text, ours.port)
            with proxy:
                what = f"{name} ({', '.join(words + list(replaced.values()))}) before ws-server-{adapter}"
                check(f"{what}: the client", client, front, with_tls, {})
                if kind != "header":
                    check(f"{what}: spoofs", client, front, with_tls, SPOOFS)
                page = "https" if with_tls else "http"
                check(f"{what}: echoes", lambda: asyncio.run(echoes(front, with_tls, page)))
                if with_tls:
                    check(f"{what}: a page without TLS is foreign", is_foreign, front)
                check(f"{what}: other peers", direct, ours.port, kind)
finish("clients behind proxies")
