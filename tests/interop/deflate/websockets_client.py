"""`websockets` from PyPI as a client: URL SEED COUNT TERMS [MEMBER MEMBERS]."""

from exchange import enter_room, exchange_all, run
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


async def client(url, exchange, terms, in_room):
    factory = ClientPerMessageDeflateFactory(**terms)
    async with connect(url, compression=None, extensions=[factory], max_size=None, proxy=None) as socket:
        if in_room:
            await enter_room(socket.send, socket.recv)
        # One fragment is a message in one frame; several are sent as they are.
        await exchange_all(exchange, lambda fragments: socket.send(fragments[0] if len(fragments) == 1 else fragments), socket.recv)


run(client)
