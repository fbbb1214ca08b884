"""An end on `websockets` from PyPI, started like the ends in src/. It sends everything before it reads anything, except
where the scenario is an echo or about back-pressure."""

import asyncio
import socket
import sys
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

PINGS = {"ping_interval": 0.25, "ping_timeout": 10}  # seconds


def narrow():
    """A socket whose kernel buffers little unread input, as on a line that is no loopback."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    return narrow


class Talk:
    def __init__(self, socket, role, scenario, count, length):
        self.socket, self.role, self.scenario, self.count, self.length = socket, role, scenario, count, length
        self.sent = self.got = 0
        self.told = False

    async def run(self):
        fault = ""
        try:
            await getattr(self, self.scenario)()
        except ConnectionClosed as closed:
            fault = str(closed)
        except AssertionError as error:
            fault = str(error)
        await self.socket.close()
        print("end", self.sent, self.got, self.socket.close_code, self.socket.close_reason, fault, sep="\t", flush=True)

    async def burst(self):
        await self.send()
        await self.hear()

    async def book(self):
        await asyncio.gather(self.send(), self.hear())

    upload = burst

    async def echo(self):
        async for message in self.socket:
            self.got += 1
            await self.socket.send(message)
            self.sent += 1

    async def pings(self):
        """Reads 2 MB a second, 64 KiB at a time, until the given number of pings have been answered."""
        answered, ping = 0, self.socket.ping

        async def counted():
            pong = await ping()

            def note(pong):
                nonlocal answered
                answered += not pong.cancelled() and not pong.exception()

            pong.add_done_callback(note)
            return pong

        self.socket.ping = counted  # `websockets` itself calls it, at PINGS
        while answered < self.count:
            await self.socket.recv()
            await asyncio.sleep(0.032)
        self.got = self.count
        closing = asyncio.create_task(self.socket.close())
        async for _ in self.socket:  # what precedes the server's Close
            pass
        await closing

    async def send(self):
        for number in range(self.count):
            await self.socket.send(number.to_bytes(4, "big") + bytes(self.length - 4))
            self.sent += 1

    async def hear(self):
        async for message in self.socket:
            if message == "all":
                self.told = True
            else:
                number = int.from_bytes(message[:4], "big")
                assert (number, len(message)) == (self.got, self.length), f"{len(message)} bytes came, numbered {number}"
                self.got += 1
                if self.got == self.count and self.scenario != "upload":
                    await self.socket.send("all")
            if self.got == self.count and self.role == "client" and (self.told or self.scenario == "upload"):
                return


async def main(role, scenario, count, length, url=None):
    def talk(socket):
        return Talk(socket, role, scenario, int(count), int(length)).run()

    options = {"compression": None}
    if scenario == "pings":
        options |= PINGS | {"sock": narrow()}
    if role == "client":
        if scenario == "pings":
            address = urlsplit(url)
            options["sock"].connect((address.hostname, address.port))
        async with connect(url, **options) as socket:
            return await talk(socket)
    if scenario == "pings":
        options["sock"].bind(("127.0.0.1", 0))
    else:
        options |= {"host": "127.0.0.1", "port": 0}
    async with serve(talk, **options) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
