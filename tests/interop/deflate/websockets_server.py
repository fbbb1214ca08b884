"""`websockets` from PyPI as a server that echoes, some messages in two fragments: TERMS. Prints its address."""

import asyncio
import sys

from exchange import parse_terms
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


async def echo(socket):
    try:
        async for message in socket:
            half = len(message) // 2
            await socket.send([message[:half], message[half:]] if len(message) % 3 == 0 else message)
    except ConnectionClosed:
        pass  # the client reports why it broke off


async def main():
    factory = ServerPerMessageDeflateFactory(**parse_terms(sys.argv[1]))
    async with serve(echo, "127.0.0.1", 0, compression=None, extensions=[factory], max_size=None) as server:
        print("ws://127.0.0.1:{}/".format(server.sockets[0].getsockname()[1]), flush=True)
        await server.serve_forever()


asyncio.run(main())
