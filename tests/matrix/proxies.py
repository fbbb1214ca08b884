"""Proxies in front of our servers: everything works through them as it does without."""

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

from peers import PEERS
from processes import GUARD, Process
from runs import FAILED, NOT_RUN, OK, OURS, Run, told

# How long a proxy keeps an idle connection: several beats of the heartbeat, and a fraction of the time for which our
# end stays silent.
PATIENCE = 4
LONG = 600
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

# What our end does behind each port of the proxy, and the proxy's patience there.
ENDS = {
    "everything": ([], LONG),
    "compressed": (["deflate"], LONG),
    "idle": (["idle"], PATIENCE),
    "cut": (["end"], PATIENCE),
    "half": (["end"], LONG),
}


@dataclass
class Kind:
    name: str
    version: list
    command: list
    configured: object


def nginx(folder, ways):
    servers = "".join(
        f"""
        server {{
            listen 127.0.0.1:{front};
            proxy_read_timeout {patience}s;
            location / {{ proxy_pass http://127.0.0.1:{back}; }}
        }}"""
        for front, back, patience in ways
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    return f"""
    daemon off; master_process off; pid {folder}/pid; error_log stderr emerg;
    events {{}}
    http {{
        access_log off;
        {paths}
        map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        {servers}
    }}
    """


def haproxy(folder, ways):
    sections = "".join(
        f"""
listen port{front}
    bind 127.0.0.1:{front}
    http-request set-header X-Forwarded-Proto http
    timeout tunnel {patience}s
    server ours 127.0.0.1:{back}
"""
        for front, back, patience in ways
    )
    return f"""
defaults
    mode http
    timeout connect 5s
    timeout client {LONG}s
    timeout server {LONG}s
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


def started(kind, path, folder, backs):
    """The proxy, once all its ports answer, and these ports. Retries with other ports if another program took some."""
    for _ in range(5):
        ways = [(free_port(), back, patience) for back, (_, patience) in zip(backs, ENDS.values())]
        file = Path(folder) / "proxy.conf"
        file.write_text(kind.configured(folder, ways))
        proxy = Process(path, *kind.command, str(file), errors=None)
        if all(answers(proxy, front) for front, *_ in ways):
            return proxy, [front for front, *_ in ways]
        proxy.end()
    raise RuntimeError(f"{kind.name} did not start")


def answers(proxy, port):
    deadline = time.monotonic() + GUARD
    while proxy.popen.poll() is None and time.monotonic() < deadline:
        try:
            # No request is sent: our end behind it sees nothing.
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
            proxy, fronts = started(kind, path, folder, backs)
            with proxy:
                urls = [f"ws://127.0.0.1:{front}/" for front in fronts]
                with Process(sys.executable, str(PEERS / "websockets_peer.py"), *urls[:-1]):
                    for (name, run), end in list(zip(runs.items(), ends))[:-1]:
                        run.take(end)
                half_close(fronts[-1])
                runs["half"].take(ends[-1])
        finally:
            for end in ends:
                end.end()
    cells, faults = judged(runs, f"127.0.0.1:{fronts[0]}")
    return [f"{kind.name} {version}", adapter, *cells, told(faults)]


def judged(runs, host):
    everything = runs["everything"]
    faults = [run.fault() for run in (everything, runs["compressed"])]
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
    """Opens, sends a Close with FIN right behind it, and waits for EOF.

    Whether the Close comes back is up to the proxy: nginx ends both sides at once, and its answer may be lost."""
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
