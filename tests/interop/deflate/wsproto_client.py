"""`wsproto` from PyPI as a client: URL SEED COUNT TERMS [MEMBER MEMBERS]."""

import asyncio
from urllib.parse import urlsplit

from exchange import enter_room, exchange_all, run
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate


class Socket:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.connection = WSConnection(ConnectionType.CLIENT)
        self.events = iter(())

    async def send_event(self, event):
        self.writer.write(self.connection.send(event))
        await self.writer.drain()

    async def event(self):
        while True:
            for event in self.events:
                if isinstance(event, Ping):
                    await self.send_event(event.response())
                    continue
                return event
            data = await self.reader.read(1 << 16)
            self.connection.receive_data(data or None)
            self.events = self.connection.events()

    async def send(self, fragments):
        kind = TextMessage if isinstance(fragments[0], str) else BytesMessage
        for k, fragment in enumerate(fragments):
            await self.send_event(kind(data=fragment, message_finished=k == len(fragments) - 1))

    async def receive(self):
        parts = []
        while True:
            event = await self.event()
            if not isinstance(event, (TextMessage, BytesMessage)):
                raise AssertionError(f"unexpected {event}")
            parts.append(event.data)
            if event.message_finished:
                return "".join(parts) if isinstance(event, TextMessage) else b"".join(parts)


async def client(url, exchange, terms, in_room):
    target = urlsplit(url)
    socket = Socket(*await asyncio.open_connection(target.hostname, target.port))
    await socket.send_event(Request(host=target.netloc, target=target.path, extensions=[PerMessageDeflate(**terms)]))
    accepted = await socket.event()
    assert isinstance(accepted, AcceptConnection), accepted
    if in_room:
        await enter_room(socket.send, socket.receive)
    await exchange_all(exchange, socket.send, socket.receive)
    await socket.send_event(CloseConnection(code=1000))
    while not isinstance(event := await socket.event(), CloseConnection):
        pass
    assert event.code == 1000, event
    socket.writer.close()


run(client)
