"""The tap finds what it is there to find: each row is what a server might send, and the fault that must be seen."""

import unittest

from tap import Auditor, accept_value

KEY = "AQIDBAUGBwgJCgsMDQ4PEA=="
REQUEST = (
    f"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
ANSWER = (
    f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    f"Sec-WebSocket-Accept: {accept_value(KEY)}\r\n\r\n"
).encode()
FRAMES = {
    b"\x82\x03abc": [],
    b"\x01\x01a\x89\x00\x80\x01b\x88\x02\x03\xe8": [],
    b"\x82\x7e\x00\x7e" + bytes(126): [],
    b"\x82\x7f" + (65536).to_bytes(8, "big") + bytes(65536): [],
    b"\x82\x83\0\0\0\0abc": ["a masked frame"],
    b"\x82\x7e\x00\x03abc": ["length 3 in 2 bytes"],
    b"\x82\x7f\0\0\0\0\0\0\xff\xff" + bytes(65535): ["length 65535 in 8 bytes"],
    b"\xc2\x00": ["reserved bits 100"],
    b"\x83\x00": ["reserved opcode 3"],
    b"\x80\x00": ["a continuation of nothing"],
    b"\x01\x00\x81\x00": ["a new message inside another"],
    b"\x09\x00": ["a control frame in pieces"],
    b"\x89\x7e\x00\x7e" + bytes(126): ["a control frame of 126 bytes"],
    b"\x88\x01\x03": ["a Close of one byte"],
    b"\x88\x02\x03\xed": ["close code 1005"],
    b"\x88\x03\x03\xe8\xff": ["a close reason that is not UTF-8"],
    b"\x88\x00\x8a\x00": ["a frame after Close"],
    b"\x82\x03ab": ["ended inside a frame"],
}
ANSWERS = {
    ANSWER: [],
    ANSWER.replace(accept_value(KEY).encode(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="): ["accept value"],
    ANSWER.replace(b"101 Switching Protocols", b"200 OK"): ["answered"],
    ANSWER.replace(b"Upgrade: websocket", b"Upgrade: h2c"): ["no single 'Upgrade"],
    ANSWER.replace(b"keep-alive, Upgrade", b"keep-alive"): ["no 'Connection"],
    ANSWER.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n"): ["sec-websocket-protocol answered"],
    ANSWER.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"): ["content-length in a 101"],
}


def faults(data, cut):
    auditor = Auditor()
    auditor.sent_by_client(REQUEST)
    for at in range(0, len(data), cut):
        auditor.sent_by_server(data[at : at + cut])
    auditor.finish()
    return auditor.faults


class TapTest(unittest.TestCase):
    def test_frames(self):
        for frames, expected in FRAMES.items():
            for cut in (1, 7, 1 << 20):
                with self.subTest(frames=frames[:20], cut=cut):
                    self.assertEqual(faults(ANSWER + frames, cut), expected)

    def test_handshakes(self):
        for answer, expected in ANSWERS.items():
            with self.subTest(answer=answer):
                found = faults(answer, 16)
                self.assertEqual(len(found), len(expected), found)
                for text, part in zip(found, expected):
                    self.assertIn(part, text)


if __name__ == "__main__":
    unittest.main()
