"""An end on `websockets` from PyPI, started as the ends in src/ are. It sends everything before it reads anything, but where
the scenario is an echo or about back-pressure.
"""

import asyncio
import socket
import sys
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

LENGTH = 64 << 10
PINGS = {"ping_interval": 0.25, "ping_timeout": 10}  # seconds


def narrow(url):
    """A connection whose kernel holds little of what waits to be read, as on a line that is no loopback."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    address = urlsplit(url)
    connection.connect((address.hostname, address.port))
    return connection


class Talk:
    def __init__(self, socket, role, scenario, count):
        self.socket, self.role, self.scenario, self.count = socket, role, scenario, count
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
        """Reads 2 MB a second until so many pings have been answered as are asked for."""
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
            for _ in range(4):
                await self.socket.recv()
            await asyncio.sleep(0.032)
        self.got = answered
        closing = asyncio.create_task(self.socket.close())
        async for _ in self.socket:  # what stands before the server's Close
            pass
        await closing

    async def send(self):
        for number in range(self.count):
            await self.socket.send(number.to_bytes(4, "big") + bytes(LENGTH - 4))
            self.sent += 1

    async def hear(self):
        async for message in self.socket:
            if message == "all":
                self.told = True
            else:
                number = int.from_bytes(message[:4], "big")
                assert (number, len(message)) == (self.got, LENGTH), f"{len(message)} bytes came, numbered {number}"
                self.got += 1
                if self.got == self.count and self.scenario != "upload":
                    await self.socket.send("all")
            if self.got == self.count and self.role == "client" and (self.told or self.scenario == "upload"):
                return


async def main(role, scenario, count, url=None):
    def talk(socket):
        return Talk(socket, role, scenario, int(count)).run()

    options = PINGS if scenario == "pings" else {}
    if role == "client":
        if options:
            options = options | {"sock": narrow(url)}
        async with connect(url, compression=None, **options) as socket:
            return await talk(socket)
    async with serve(talk, "127.0.0.1", 0, compression=None, **options) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
