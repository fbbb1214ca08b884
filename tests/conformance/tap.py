"""A wire tap: a proxy between the suite and the server that holds every byte of the server against RFC 6455.

The suite judges echoes, pongs and close codes. It reads frames leniently, so the tap reads them strictly.
"""

import asyncio
import base64
import hashlib

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTROL, CLOSE = 8, 8
FORBIDDEN_CLOSE = {1004, 1005, 1006} | set(range(1015, 3000))  # §7.4; 5000 and above: echoes of case 7.13.*


def accept_value(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def parse_head(head: bytes):
    """The first line and the fields of an HTTP head, names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.lower(), []).append(value.strip())
    return first, fields


def handshake_faults(request: bytes, response: bytes):
    """What is wrong in the answer to an upgrade request (§4.2.2)."""
    _, asked = parse_head(request)
    status, told = parse_head(response)
    if not status.startswith("HTTP/1.1 101"):
        return [f"answered {status!r}"]
    faults = []
    expected = accept_value(asked.get("sec-websocket-key", [""])[0])
    if told.get("sec-websocket-accept") != [expected]:
        faults.append(f"accept value {told.get('sec-websocket-accept')}, not {expected}")
    if [v.lower() for v in told.get("upgrade", [])] != ["websocket"]:
        faults.append("no single 'Upgrade: websocket'")
    if "upgrade" not in ",".join(told.get("connection", [])).lower().replace(" ", "").split(","):
        faults.append("no 'Connection: Upgrade'")
    for name in ("sec-websocket-extensions", "sec-websocket-protocol"):
        if name in told and name not in asked:
            faults.append(f"{name} answered, but none was offered")
    for name in ("content-length", "transfer-encoding"):
        if name in told:
            faults.append(f"{name} in a 101 answer")
    return faults


class Auditor:
    """Reads what one server sent over one connection, cut anywhere."""

    def __init__(self):
        self.request = b""
        self.faults = []
        self.pending = bytearray()  # bytes not judged yet: a head, a frame header, a control payload
        self.skip = 0  # bytes of a data payload still to come
        self.in_http = True
        self.in_message = self.closed = self.deflate = False

    def fault(self, text):
        if text not in self.faults:
            self.faults.append(text)

    def sent_by_client(self, data: bytes):
        if b"\r\n\r\n" not in self.request:
            self.request += data

    def sent_by_server(self, data: bytes):
        passed = min(self.skip, len(data))
        self.skip -= passed
        self.pending += data[passed:]
        while self.pending and self.step():
            pass

    def step(self):
        """Judges one head or frame; false when it is not all there yet."""
        if self.in_http:
            head, end, rest = self.pending.partition(b"\r\n\r\n")
            if end:
                for fault in handshake_faults(self.request.partition(b"\r\n\r\n")[0], bytes(head)):
                    self.fault("handshake: " + fault)
                self.deflate = b"permessage-deflate" in head.lower()
                self.in_http, self.pending = False, rest
            return bool(end)
        data = self.pending
        if len(data) < 2:
            return False
        fin, rsv, opcode, masked, length = data[0] >> 7, data[0] >> 4 & 7, data[0] & 15, data[1] >> 7, data[1] & 127
        header = {126: 4, 127: 10}.get(length, 2)
        if len(data) < header:
            return False
        if header > 2:
            shortest = 126 if length == 126 else 65536
            length = int.from_bytes(data[2:header], "big")
            if length < shortest:
                self.fault(f"length {length} in {header - 2} bytes")
            if length >> 63:
                self.fault("length with the highest bit set")
        header += 4 * masked
        if opcode >= CONTROL and len(data) < header + length:
            return False
        self.judge(fin, rsv, opcode, masked, bytes(data[header : header + length]) if opcode >= CONTROL else length)
        end = header + length
        self.skip = max(0, end - len(data))
        del data[:end]
        return True

    def judge(self, fin, rsv, opcode, masked, payload):
        if self.closed:
            self.fault("a frame after Close")
        if masked:
            self.fault("a masked frame")
        if opcode not in (0, 1, 2, 8, 9, 10):
            self.fault(f"reserved opcode {opcode}")
        if rsv and not (rsv == 4 and self.deflate and opcode in (1, 2)):
            self.fault(f"reserved bits {rsv:03b}")
        if opcode < CONTROL:
            if (opcode == 0) != self.in_message:
                self.fault("a continuation of nothing" if opcode == 0 else "a new message inside another")
            self.in_message = not fin
            return
        if not fin:
            self.fault("a control frame in pieces")
        if len(payload) > 125:
            self.fault(f"a control frame of {len(payload)} bytes")
        if opcode == CLOSE:
            self.closed = True
            self.judge_close(payload)

    def judge_close(self, payload: bytes):
        if len(payload) == 1:
            self.fault("a Close of one byte")
        elif payload:
            code = int.from_bytes(payload[:2], "big")
            if code < 1000 or code in FORBIDDEN_CLOSE:
                self.fault(f"close code {code}")
            try:
                payload[2:].decode()
            except UnicodeDecodeError:
                self.fault("a close reason that is not UTF-8")

    def finish(self):
        if self.skip or (self.pending and not self.in_http):
            if not self.closed:
                self.fault("ended inside a frame")


class Tap:
    """`async with Tap(host, port) as tap`: listens on `tap.port`, passes everything on, collects `tap.faults`."""

    def __init__(self, host, port):
        self.upstream = host, port
        self.faults = []
        self.tasks = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=5)
        for task in self.tasks:
            task.cancel()

    async def serve(self, client_in, client_out):
        task = asyncio.current_task()
        self.tasks.add(task)
        auditor = Auditor()
        try:
            server_in, server_out = await asyncio.open_connection(*self.upstream)
            try:
                await asyncio.gather(
                    pump(client_in, server_out, auditor.sent_by_client),
                    pump(server_in, client_out, auditor.sent_by_server),
                )
                auditor.finish()
            finally:
                server_out.close()
        except OSError:
            client_out.transport.abort()
        finally:
            client_out.close()
            self.faults += auditor.faults
            self.tasks.discard(task)


async def pump(source, sink, watch):
    """Passes bytes on, and the end of the stream as what it is: a FIN stays a FIN, a reset a reset."""
    while data := await source.read(65536):
        watch(data)
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
