"""libcurl, by way of `pycurl` from PyPI, as a client of each given URL."""

import select
import sys

import pycurl

DONE = 1000


class Peer:
    ended = ""

    def __init__(self, url):
        self.curl = pycurl.Curl()
        self.headers = {}
        self.parts = b""  # of an incomplete message
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.PROXY, "")
        self.curl.setopt(pycurl.CONNECT_ONLY, 2)  # a WebSocket, by its handshake
        # An automatic Pong of libcurl waits until something else is sent.
        self.curl.setopt(pycurl.WS_OPTIONS, pycurl.WS_NOAUTOPONG)
        self.curl.setopt(pycurl.HTTPHEADER, ["Sec-WebSocket-Protocol: matrix"])
        self.curl.setopt(pycurl.HEADERFUNCTION, self.header)

    def header(self, line):
        name, _, value = line.decode("latin-1").partition(":")
        self.headers[name.lower()] = value.strip()

    def wait(self, write):
        handle = self.curl.getinfo(pycurl.ACTIVESOCKET)
        select.select([handle], [handle] if write else [], [])

    def send(self, data, flags):
        data = memoryview(data)
        while True:
            try:
                sent = self.curl.ws_send(data, flags)
            except BlockingIOError:
                self.wait(write=True)
                continue
            if sent >= len(data):
                return
            data = data[sent:]

    def text(self, text, flags=0):
        self.send(text.encode(), pycurl.WS_TEXT | flags)

    def receive(self):
        """The next whole message, Pong or Close, and its flags."""
        while True:
            try:
                data, frame = self.curl.ws_recv(1 << 16)
            except BlockingIOError:
                self.wait(write=False)
                continue
            if frame.flags & (pycurl.WS_PING | pycurl.WS_PONG | pycurl.WS_CLOSE):
                return data, frame.flags
            self.parts += data
            if frame.bytesleft == 0 and not frame.flags & pycurl.WS_CONT:
                whole, self.parts = self.parts, b""
                return whole, frame.flags

    def follow(self):
        """Reads until the end; returns its code."""
        version = pycurl.version_info()[1]
        subprotocol = self.headers.get("sec-websocket-protocol", "")
        extensions = self.headers.get("sec-websocket-extensions", "")
        self.text(f"hello\nversion: {version}\nsubprotocol: {subprotocol}\nextensions: {extensions}\n{Peer.ended}")
        closing = False
        while True:
            data, flags = self.receive()
            if flags & pycurl.WS_CLOSE:
                if not closing:
                    self.send(data[:2], pycurl.WS_CLOSE)
                code = int.from_bytes(data[:2], "big")
                Peer.ended = f"ended: {code} {data[2:].decode()}"
                return code
            if flags & pycurl.WS_PING:
                self.send(data, pycurl.WS_PONG)
            elif flags & pycurl.WS_PONG:
                self.text(f"/pong {data.decode()}")
            elif flags & pycurl.WS_TEXT:
                closing = self.execute(data) or closing
            elif flags & pycurl.WS_BINARY:
                self.send(data, pycurl.WS_BINARY)

    def execute(self, data):
        """Executes the command in a text; returns whether it was a close."""
        command, _, rest = data.partition(b" ")
        if command == b"/close":
            code, _, reason = rest.partition(b" ")
            self.send(int(code).to_bytes(2, "big") + reason, pycurl.WS_CLOSE)
            return True
        if command == b"/ping":
            self.send(rest, pycurl.WS_PING)
        elif command == b"/ticks":
            for _ in range(int(rest)):
                self.send(b"tick", pycurl.WS_TEXT | pycurl.WS_CONT)
                self.send(b"", pycurl.WS_TEXT)
        elif command == b"/fragments":
            for fragment, last in ((b"one ", False), (b"", False), (b"two", True)):
                self.send(fragment, pycurl.WS_TEXT | (0 if last else pycurl.WS_CONT))
        else:
            self.send(data, pycurl.WS_TEXT)
        return False


def client(url):
    while True:
        peer = Peer(url)
        try:
            peer.curl.perform()
        except pycurl.error:
            return  # no server left
        try:
            code = peer.follow()
        except pycurl.error:
            code = None  # the connection was cut
        peer.curl.close()
        if code in (None, DONE):
            return


for url in sys.argv[1:]:
    client(url)
