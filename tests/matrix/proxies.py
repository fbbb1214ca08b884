"""Tests proxies in front of our servers: everything works as it does without them."""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request

sys.path.insert(0, str(Path(__file__).parents[1]))

from nginx import reverse_proxy  # noqa: E402
from peers import PEERS  # noqa: E402
from processes import GUARD, Process  # noqa: E402
from runs import FAILED, NOT_RUN, OK, OURS, Run, summary  # noqa: E402

# The idle timeout of a proxy: several heartbeat intervals, and a fraction of the time that our end stays silent.
IDLE_TIMEOUT = 4
LONG_TIMEOUT = 600
HALF = (4003, "half closed")

HEADINGS = [
    "proxy",
    "before our server",
    "everything",
    "close by peer",
    "close by us",
    "compressed",
    "forwarded header fields",
    "idle, kept by the heartbeat",
    "idle, cut without one",
    "Close and FIN at once",
    "result",
]

# The mode of our end for each port of the proxy, and the proxy's idle timeout there.
ENDS = {
    "everything": ([], LONG_TIMEOUT),
    "compressed": (["deflate"], LONG_TIMEOUT),
    "idle": (["idle"], IDLE_TIMEOUT),
    "cut": (["end"], IDLE_TIMEOUT),
    "half": (["end"], LONG_TIMEOUT),
}


@dataclass
class Kind:
    name: str
    version: list
    command: list
    configured: object


def nginx(folder, routes):
    servers = "".join(
        f"""
        server {{
            listen 127.0.0.1:{front};
            proxy_read_timeout {timeout}s;
            location / {{ proxy_pass http://127.0.0.1:{back}; }}
        }}"""
        for front, back, timeout in routes
    )
    forwarded = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;"
    return reverse_proxy(folder, forwarded + servers)


def haproxy(folder, routes):
    sections = "".join(
        f"""
listen port{front}
    bind 127.0.0.1:{front}
    http-request set-header X-Forwarded-Proto http
    timeout tunnel {timeout}s
    server ours 127.0.0.1:{back}
"""
        for front, back, timeout in routes
    )
    return f"""
defaults
    mode http
    timeout connect 5s
    timeout client {LONG_TIMEOUT}s
    timeout server {LONG_TIMEOUT}s
    option forwardfor
{sections}
"""


ALL = [
    Kind("nginx", ["-v"], ["-e", "stderr", "-c"], nginx),
    Kind("haproxy", ["-v"], ["-db", "-f"], haproxy),
]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def start_proxy(kind, path, folder, backs):
    """Starts the proxy; returns it and its ports once all accept. Retries with other ports if some are in use."""
    for _ in range(5):
        routes = [(free_port(), back, timeout) for back, (_, timeout) in zip(backs, ENDS.values())]
        file = Path(folder) / "proxy.conf"
        file.write_text(kind.configured(folder, routes))
        proxy = Process(path, *kind.command, str(file), errors=None)
        if all(accepts(proxy, front) for front, *_ in routes):
            return proxy, [front for front, *_ in routes]
        proxy.end()
    raise RuntimeError(f"{kind.name} did not start")


def accepts(proxy, port):
    deadline = time.monotonic() + GUARD
    while proxy.popen.poll() is None and time.monotonic() < deadline:
        try:
            # Without a request, our end receives nothing.
            socket.create_connection(("127.0.0.1", port), GUARD).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def row(kind, adapter):
    path = shutil.which(kind.name) or shutil.which(kind.name, path="/usr/sbin")
    if not path:
        return [kind.name, adapter, *[""] * (len(HEADINGS) - 3), f"{NOT_RUN}: {kind.name} is not installed"]
    version = subprocess.run([path, *kind.version], capture_output=True, text=True)
    version = re.search(r"\d+(\.\d+)+", version.stdout + version.stderr)[0]
    ends = [Process(OURS, adapter, "server", *mode) for mode, _ in ENDS.values()]
    runs = {name: Run(name) for name in ENDS}
    with tempfile.TemporaryDirectory() as folder:
        try:
            backs = [end.line().rsplit(":", 1)[1].strip("/") for end in ends]
            proxy, fronts = start_proxy(kind, path, folder, backs)
            with proxy:
                urls = [f"ws://127.0.0.1:{front}/" for front in fronts]
                with Process(sys.executable, str(PEERS / "websockets_peer.py"), *urls[:-1]):
                    for (name, run), end in list(zip(runs.items(), ends))[:-1]:
                        run.read(end)
                half_close(fronts[-1])
                runs["half"].read(ends[-1])
        finally:
            for end in ends:
                end.end()
    cells, faults = verdicts(runs, f"127.0.0.1:{fronts[0]}")
    return [f"{kind.name} {version}", adapter, *cells, summary(faults)]


def verdicts(runs, host):
    everything = runs["everything"]
    faults = [run.error() for run in (everything, runs["compressed"])]
    cells = [FAILED if fault else OK for fault in faults]
    cells[1:1] = [everything.cell(step) for step in ("close by peer", "close by us")]

    wanted = {
        "host": host,
        "origin": f"http://{host}",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
    }
    got = {name: everything.headers.get(name) for name in wanted}
    faults.append(None if got == wanted else f"header fields {got}")

    idle = runs["idle"].steps.get("idle", ("failed", "nothing"))
    faults.append(None if idle[0] == "ok" else f"idle: {idle[1]}")

    cut = runs["cut"].steps.get("end", ("failed", "nothing"))[1]
    faults.append(None if cut.startswith("1006 unclean") else f"without a heartbeat: {cut}")

    half = runs["half"].steps.get("end", ("failed", "nothing"))[1]
    code, reason = HALF
    reached = half.startswith(f"{code} ") and half.endswith(reason)
    faults.append(None if reached else f"Close and FIN: {half}")
    cells += [FAILED if fault else OK for fault in faults[2:]]
    return cells, [fault for fault in faults if fault]


def half_close(port):
    """Opens, sends a Close with FIN right after it, and waits for EOF.

    The proxy decides whether the Close is answered: nginx ends both sides at once, and the answer may be lost."""
    wire = WSConnection(ConnectionType.CLIENT)
    with socket.create_connection(("127.0.0.1", port), GUARD) as stream:
        stream.sendall(wire.send(Request(f"127.0.0.1:{port}", "/")))
        for event in events(wire, stream):
            if isinstance(event, AcceptConnection):
                code, reason = HALF
                stream.sendall(wire.send(CloseConnection(code, reason)))
                stream.shutdown(socket.SHUT_WR)


def events(wire, stream):
    try:
        while data := stream.recv(1 << 16):
            wire.receive_data(data)
            yield from wire.events()
    except ConnectionResetError:
        return
