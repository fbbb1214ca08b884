"""Reads lines of a role and bytes in hexadecimal; answers each with the result of `wsproto`: the code of the Close
that it sends, or `waits`, then its messages (t for text, b for binary) and the pings that it answers (p)."""

import sys

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage


def read(role, data):
    connection = Connection(ConnectionType.SERVER if role == "server" else ConnectionType.CLIENT)
    connection.receive_data(data)
    close, outcomes, parts = "waits", [], []
    for event in connection.events():
        if isinstance(event, (TextMessage, BytesMessage)):
            is_text = isinstance(event, TextMessage)
            parts.append(event.data.encode() if is_text else bytes(event.data))
            if event.message_finished:
                outcomes.append(("t" if is_text else "b") + b"".join(parts).hex())
                parts = []
        elif isinstance(event, Ping):
            connection.send(event.response())
            outcomes.append("p" + bytes(event.payload).hex())
        elif isinstance(event, CloseConnection):
            # A fault of the stream is printed like a Close, with the code to send.
            if connection.state is ConnectionState.REMOTE_CLOSING:
                connection.send(event.response())
            close = str(int(event.code))
            break
    return " ".join([close, *outcomes])


for line in sys.stdin:
    role, data = line.rstrip("\n").split(" ")
    print(read(role, bytes.fromhex(data)), flush=True)
