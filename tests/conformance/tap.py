"""A wire tap: a proxy between the suite and the program under test that checks every byte of the
latter against RFC 6455.

The suite checks echoes, pongs and close codes, but reads frames leniently. The tap reads them strictly.
"""

import asyncio
import base64
import binascii
import hashlib
import zlib

from deflate import Inflater, answer_faults, elements, offer_faults

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


def tokens(fields, name):
    """The items of a list field, in lower case."""
    return [item.strip().lower() for item in ",".join(fields.get(name, [])).split(",")]


def request_faults(request: bytes):
    """Returns the faults in an upgrade request (§4.1)."""
    line, request_fields = parse_head(request)
    faults = []
    if not (line.startswith("GET /") and line.endswith(" HTTP/1.1") and line.count(" ") == 2):
        faults.append(f"request line {line!r}")
    if len(request_fields.get("host", [])) != 1:
        faults.append("no single Host")
    if "websocket" not in tokens(request_fields, "upgrade"):
        faults.append("no 'Upgrade: websocket'")
    if "upgrade" not in tokens(request_fields, "connection"):
        faults.append("no 'Connection: Upgrade'")
    if request_fields.get("sec-websocket-version") != ["13"]:
        faults.append(f"version {request_fields.get('sec-websocket-version')}")
    keys = request_fields.get("sec-websocket-key", [])
    try:
        lengths = [len(base64.b64decode(key, validate=True)) for key in keys]
    except binascii.Error:
        lengths = []
    if lengths != [16]:
        faults.append(f"key {keys}, not one of 16 bytes")
    for name in ("content-length", "transfer-encoding"):
        if name in request_fields:
            faults.append(f"{name} in a request for an upgrade")
    return faults + offer_faults(request_fields)


def handshake_faults(request: bytes, response: bytes):
    """Returns the faults in the answer to an upgrade request (§4.2.2)."""
    _, request_fields = parse_head(request)
    status, response_fields = parse_head(response)
    if not status.startswith("HTTP/1.1 101"):
        return [f"answered {status!r}"]
    faults = []
    expected = accept_value(request_fields.get("sec-websocket-key", [""])[0])
    if response_fields.get("sec-websocket-accept") != [expected]:
        faults.append(f"accept value {response_fields.get('sec-websocket-accept')}, not {expected}")
    if [v.lower() for v in response_fields.get("upgrade", [])] != ["websocket"]:
        faults.append("no single 'Upgrade: websocket'")
    if "upgrade" not in tokens(response_fields, "connection"):
        faults.append("no 'Connection: Upgrade'")
    for name in ("sec-websocket-extensions", "sec-websocket-protocol"):
        if name in response_fields and name not in request_fields:
            faults.append(f"{name} answered, but none was offered")
    for name in ("content-length", "transfer-encoding"):
        if name in response_fields:
            faults.append(f"{name} in a 101 answer")
    return faults + answer_faults(request_fields, response_fields)


def unmasked(mask, at, data):
    """Unmasks data that begins at this offset of its frame."""
    if not mask:
        return data
    at %= 4
    key = ((mask[at:] + mask[:at]) * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")


class Auditor:
    """Checks the output of one side of a connection, "client" or "server", split anywhere."""

    def __init__(self, tested):
        self.tested = tested
        self.heads = {"client": b"", "server": b""}  # request and answer; the other side's includes later bytes
        self.faults = []
        self.pending = bytearray()  # unchecked bytes: a head, a frame header, a control payload
        self.skip = 0  # bytes of a data payload still to come
        self.in_http = True
        self.in_message = self.closed = False
        self.masks = []  # the last three masking keys
        self.terms = None  # of permessage-deflate, where negotiated
        self.inflater = None
        self.is_compressed = self.ends_message = False  # the current message, and its current frame
        self.at = 0  # bytes of the frame's payload so far
        self.messages = self.compressed = 0  # complete ones
        self.wire = self.size = 0  # their payload bytes: on the wire, and inflated

    def fault(self, text):
        if text not in self.faults:
            self.faults.append(text)

    def request(self):
        """(request line, fields)"""
        return parse_head(self.heads["client"].partition(b"\r\n\r\n")[0])

    def feed(self, side, data: bytes):
        if side != self.tested:
            if b"\r\n\r\n" not in self.heads[side]:
                self.heads[side] += data
            return
        passed = min(self.skip, len(data))
        if passed:
            self.skip -= passed
            self.pass_payload(data[:passed])
        self.pending += data[passed:]
        while self.pending and self.step():
            pass

    def step(self):
        """Checks one head or frame; returns false if it is incomplete."""
        if self.in_http:
            head, end, rest = self.pending.partition(b"\r\n\r\n")
            if end:
                self.heads[self.tested] = bytes(head)
                self.check_head(bytes(head))
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
        mask = bytes(data[header : header + 4 * masked])
        header += 4 * masked
        if len(data) < header + (length if opcode >= CONTROL else 0):
            return False
        payload = bytes(data[header : header + length])
        self.check_mask(mask)
        self.check_frame(fin, rsv, opcode, unmasked(mask, 0, payload) if opcode >= CONTROL else b"")
        end = header + length
        self.skip = max(0, end - len(data))
        del data[:end]
        if opcode < CONTROL:
            self.at, self.ends_message = 0, fin
            self.pass_payload(payload)
        return True

    def pass_payload(self, data: bytes):
        """The next bytes of a data frame."""
        self.wire += len(data)
        before = self.inflater.size if self.inflater else 0
        ends = self.ends_message and not self.skip
        try:
            if self.is_compressed and self.inflater:
                self.inflater.feed(unmasked(self.masks[-1], self.at, data))
                if ends:
                    self.inflater.end()
                self.size += self.inflater.size - before
            else:
                self.size += len(data)
        except zlib.error as error:
            self.fault(f"a compressed message that breaks the terms: {error}")
            self.inflater = None
        self.at += len(data)
        if ends:
            self.messages += 1
            self.compressed += self.is_compressed

    def check_head(self, head: bytes):
        if self.tested == "client":
            faults = request_faults(head)
        else:
            faults = handshake_faults(self.heads["client"].partition(b"\r\n\r\n")[0], head)
        for fault in faults:
            self.fault("handshake: " + fault)

    def check_mask(self, mask: bytes):
        """§5.3: every frame of a client is masked, with unpredictable keys; no frame of a server is."""
        if bool(mask) != (self.tested == "client"):
            self.fault("a masked frame" if mask else "an unmasked frame")
        self.masks = [*self.masks[-2:], mask]
        if mask and self.masks == [mask] * 3:
            self.fault("three frames with one masking key")

    def record_terms(self):
        """Records the negotiated terms, once the server has answered."""
        head, end, _ = self.heads["server"].partition(b"\r\n\r\n")
        if self.terms is None and (end or self.tested == "server"):
            for accepted in elements(parse_head(head)[1])[:1]:
                self.terms = dict(accepted)
                self.inflater = Inflater(self.tested, self.terms)

    def check_frame(self, fin, rsv, opcode, payload):
        if not self.heads["server"]:
            self.fault("a frame before the server's answer")
        if self.closed:
            self.fault("a frame after Close")
        if opcode not in (0, 1, 2, 8, 9, 10):
            self.fault(f"reserved opcode {opcode}")
        self.record_terms()
        if rsv and not (rsv == 4 and self.terms is not None and opcode in (1, 2)):
            self.fault(f"reserved bits {rsv:03b}")
        if opcode in (1, 2):
            self.is_compressed = rsv == 4
        if opcode < CONTROL:
            if (opcode == 0) != self.in_message:
                self.fault("a continuation without a message" if opcode == 0 else "a new message inside another")
            self.in_message = not fin
            return
        if not fin:
            self.fault("a fragmented control frame")
        if len(payload) > 125:
            self.fault(f"a control frame of {len(payload)} bytes")
        if opcode == CLOSE:
            self.closed = True
            self.check_close(payload)

    def check_close(self, payload: bytes):
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
    """`async with Tap(host, port, tested) as tap`: listens on `tap.port`, passes everything on, and collects
    `tap.faults` of the side under test, or of both: (target of the request, faults) of each faulty
    connection. `tap.ended` has the auditors of each ended connection."""

    def __init__(self, host, port, *tested):
        self.upstream = host, port
        self.tested = tested
        self.faults = []
        self.ended = []
        self.keys = set()
        self.tasks = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=5)
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        # Cancelled tasks still report their faults.
        await asyncio.gather(*tasks, return_exceptions=True)

    async def serve(self, client_in, client_out):
        task = asyncio.current_task()
        self.tasks.add(task)
        auditors = [Auditor(side) for side in self.tested]
        try:
            server_in, server_out = await asyncio.open_connection(*self.upstream)
            try:
                await asyncio.gather(
                    pump(client_in, server_out, auditors, "client"),
                    pump(server_in, client_out, auditors, "server"),
                )
                for auditor in auditors:
                    auditor.finish()
            finally:
                server_out.close()
        except OSError:
            client_out.transport.abort()
        finally:
            client_out.close()
            for auditor in auditors:
                self.collect(auditor)
            self.ended.append(auditors)
            self.tasks.discard(task)

    def collect(self, auditor):
        line, fields = auditor.request()
        if auditor.tested == "client":
            for key in fields.get("sec-websocket-key", []):
                if key in self.keys:  # §4.1: chosen at random for each connection
                    auditor.fault("handshake: the key of an earlier connection")
                self.keys.add(key)
        if auditor.faults:
            _, _, rest = line.partition(" ")
            self.faults.append((rest.partition(" ")[0], "; ".join(auditor.faults)))


async def pump(source, sink, auditors, side):
    """Forwards bytes and the end of the stream unchanged: a FIN stays a FIN, a reset a reset."""
    while data := await source.read(65536):
        for auditor in auditors:
            auditor.feed(side, data)
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
