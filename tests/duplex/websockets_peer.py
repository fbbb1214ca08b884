"""An end on `websockets` from PyPI, started like the ends in src/. It sends everything before it reads anything, except
in scenarios with an echo or back-pressure."""

import asyncio
import socket
import sys
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

PINGS = {"ping_interval": 0.25, "ping_timeout": 10}  # seconds


def small_buffer_socket():
    """Returns a socket whose kernel buffers little unread input, as on a real network."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    return small


class Exchange:
    def __init__(self, socket, role, scenario, count, length):
        self.socket, self.role, self.scenario, self.count, self.length = socket, role, scenario, count, length
        self.sent = self.received = 0
        self.peer_done = False

    async def run(self):
        fault = ""
        try:
            await getattr(self, self.scenario)()
        except ConnectionClosed as closed:
            fault = str(closed)
        except AssertionError as error:
            fault = str(error)
        await self.socket.close()
        print("end", self.sent, self.received, self.socket.close_code, self.socket.close_reason, fault, sep="\t", flush=True)

    async def burst(self):
        await self.send()
        await self.receive()

    async def paced(self):
        await asyncio.gather(self.send(), self.receive())

    upload = burst

    async def echo(self):
        async for message in self.socket:
            self.received += 1
            await self.socket.send(message)
            self.sent += 1

    async def pings(self):
        """Reads 2 MB a second, 64 KiB at a time, until the given number of pings have been answered."""
        answered, ping = 0, self.socket.ping

        async def counted():
            pong = await ping()

            def count(pong):
                nonlocal answered
                answered += not pong.cancelled() and not pong.exception()

            pong.add_done_callback(count)
            return pong

        self.socket.ping = counted  # `websockets` calls it at the rate of PINGS
        while answered < self.count:
            await self.socket.recv()
            await asyncio.sleep(0.032)
        self.received = self.count
        closing = asyncio.create_task(self.socket.close())
        async for _ in self.socket:  # what precedes the server's Close
            pass
        await closing

    async def send(self):
        for number in range(self.count):
            await self.socket.send(number.to_bytes(4, "big") + bytes(self.length - 4))
            self.sent += 1

    async def receive(self):
        async for message in self.socket:
            if message == "all":
                self.peer_done = True
            else:
                number = int.from_bytes(message[:4], "big")
                assert (number, len(message)) == (self.received, self.length), f"{len(message)} bytes, numbered {number}"
                self.received += 1
                if self.received == self.count and self.scenario != "upload":
                    await self.socket.send("all")
            if self.received == self.count and self.role == "client" and (self.peer_done or self.scenario == "upload"):
                return


async def main(role, scenario, count, length, url=None):
    def run(socket):
        return Exchange(socket, role, scenario, int(count), int(length)).run()

    options = {"compression": None}
    if scenario == "pings":
        options |= PINGS | {"sock": small_buffer_socket()}
    if role == "client":
        if scenario == "pings":
            address = urlsplit(url)
            options["sock"].connect((address.hostname, address.port))
        async with connect(url, **options) as socket:
            return await run(socket)
    if scenario == "pings":
        options["sock"].bind(("127.0.0.1", 0))
    else:
        options |= {"host": "127.0.0.1", "port": 0}
    async with serve(run, **options) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
