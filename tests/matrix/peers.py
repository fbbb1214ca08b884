"""The tested peers: each with the commands that make it a client and a server."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parent.parent / "target").resolve()


class NotRun(Exception):
    """Why this machine cannot test a peer."""


@dataclass
class Peer:
    name: str
    roles: tuple
    command: object
    quick: bool = False  # whether the other tests use it


def python(file, *modules):
    def command():
        checked("-c", f"import {', '.join(modules)}")
        return [sys.executable, str(PEERS / file)]

    def checked(*arguments):
        if subprocess.run([sys.executable, *arguments], capture_output=True).returncode:
            raise NotRun(f"{', '.join(modules)} from PyPI cannot be imported")

    return command


def curl():
    command = python("curl_peer.py", "pycurl")()
    has = "import pycurl, sys; sys.exit('ws' not in pycurl.version_info()[8])"
    if subprocess.run([sys.executable, "-c", has]).returncode:
        raise NotRun("this libcurl was built without WebSockets")
    return command


def node(file, *arguments):
    def command():
        if not (HERE / "node_modules").is_dir():
            raise NotRun("the packages from npm are not installed")
        return ["node", str(PEERS / file), *arguments]

    return command


def browser(name, variable, executable):
    def command():
        path = os.environ.get(variable) or executable
        if not os.access(path, os.X_OK):
            raise NotRun(f"{path} is not installed")
        return ["node", str(PEERS / "browser.mjs"), name]

    return command


def built(name, *arguments, how):
    """A program that run.sh builds if possible."""

    def command():
        path = TARGET / how / name
        if not path.exists():
            raise NotRun(f"{name} could not be built")
        return [str(path), *arguments]

    return command


CLIENT, SERVER = "client", "server"
BOTH = (CLIENT, SERVER)

ALL = [
    Peer("Chromium", (CLIENT,), browser("chromium", "CHROMIUM", "/usr/bin/chromium"), quick=True),
    Peer("Firefox", (CLIENT,), browser("firefox", "FIREFOX", "/usr/bin/firefox-esr")),
    Peer("ws", BOTH, node("ws.mjs"), quick=True),
    Peer("undici", (CLIENT,), node("undici.mjs")),
    Peer("websockets", BOTH, python("websockets_peer.py", "websockets"), quick=True),
    Peer("wsproto", BOTH, python("wsproto_peer.py", "wsproto"), quick=True),
    Peer("libcurl", (CLIENT,), curl),
    Peer("tungstenite", BOTH, built("matrix-peers", "tungstenite", how="debug")),
    Peer("fastwebsockets", BOTH, built("matrix-peers", "fastwebsockets", how="debug")),
    Peer("libwebsockets", BOTH, built("matrix-lws", how="debug")),
]
