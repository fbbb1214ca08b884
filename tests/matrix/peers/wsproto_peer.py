"""`wsproto` from PyPI over blocking sockets: a client of each given URL or, without URLs, a server."""

import socket
import sys
from urllib.parse import urlsplit

import wsproto
from wsproto import events
from wsproto.extensions import PerMessageDeflate

DONE = 1000


class Peer:
    ended = ""

    def __init__(self, stream, kind):
        self.stream = stream
        self.wire = wsproto.WSConnection(kind)
        self.parts = []

    def send(self, event):
        self.stream.sendall(self.wire.send(event))

    def events(self):
        """Input, until the end of the stream."""
        while True:
            try:
                data = self.stream.recv(1 << 16)
            except ConnectionError:
                return
            if not data:
                return
            self.wire.receive_data(data)
            yield from self.wire.events()

    def hello(self, subprotocol, extensions):
        extensions = ", ".join(extension.name for extension in extensions)
        hello = f"hello\nversion: {wsproto.__version__}\nsubprotocol: {subprotocol or ''}"
        self.send(events.TextMessage(f"{hello}\nextensions: {extensions}\n{Peer.ended}"))

    def follow(self):
        """Reads until the end; returns its code, or None without a handshake."""
        code = None
        for event in self.events():
            match event:
                case events.Request():
                    selected = next((name for name in event.subprotocols if name == "matrix"), None)
                    deflate = PerMessageDeflate()
                    self.send(events.AcceptConnection(subprotocol=selected, extensions=[deflate]))
                    self.hello(selected, [deflate] if deflate.enabled() else [])
                case events.AcceptConnection():
                    self.hello(event.subprotocol, event.extensions)
                case events.TextMessage() | events.BytesMessage():
                    self.parts.append(event.data)
                    if event.message_finished:
                        whole, self.parts = type(event.data)().join(self.parts), []
                        self.execute(whole)
                case events.Ping():
                    self.send(event.response())
                case events.Pong():
                    self.send(events.TextMessage(f"/pong {bytes(event.payload).decode()}"))
                case events.CloseConnection():
                    if self.wire.state is not wsproto.ConnectionState.CLOSED:
                        self.send(event.response())
                    code = event.code
                    Peer.ended = f"ended: {code} {event.reason or ''}"
                    if not self.wire.client:
                        break  # the server ends the stream
        self.stream.close()
        return code

    def execute(self, message):
        command, _, rest = message.partition(" ") if isinstance(message, str) else ("", "", "")
        if command == "/close":
            code, _, reason = rest.partition(" ")
            self.send(events.CloseConnection(code=int(code), reason=reason))
        elif command == "/ping":
            self.send(events.Ping(payload=rest.encode()))
        elif command == "/ticks":
            for _ in range(int(rest)):
                self.send(events.TextMessage("tick", message_finished=False))
                self.send(events.TextMessage("", message_finished=True))
        elif command == "/fragments":
            for fragment, last in (("one ", False), ("", False), ("two", True)):
                self.send(events.TextMessage(fragment, message_finished=last))
        else:
            self.send(events.Message(message))


def client(url):
    where = urlsplit(url)
    while True:
        try:
            stream = socket.create_connection((where.hostname, where.port))
        except OSError:
            return  # no server left
        peer = Peer(stream, wsproto.ConnectionType.CLIENT)
        extensions = [PerMessageDeflate()]
        peer.send(events.Request(where.netloc, where.path, extensions, subprotocols=["matrix"]))
        if peer.follow() in (None, DONE):
            return


def server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"ws://127.0.0.1:{listener.getsockname()[1]}/", flush=True)
        while True:
            Peer(listener.accept()[0], wsproto.ConnectionType.SERVER).follow()


if len(sys.argv) == 1:
    server()
for url in sys.argv[1:]:
    client(url)
