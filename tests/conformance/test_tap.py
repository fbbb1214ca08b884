"""Tests that the tap finds faults: each row is the output of a client or a server, and the expected fault."""

import random
import unittest
import zlib

from tap import Auditor, Tap, accept_value

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
    b"\x80\x00": ["a continuation without a message"],
    b"\x01\x00\x81\x00": ["a new message inside another"],
    b"\x09\x00": ["a fragmented control frame"],
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


KEY_A, KEY_B = b"\x01\x02\x03\x04", b"\xf0\xf1\xf2\xf3"


def with_terms(head, terms):
    """Adds permessage-deflate with these parameters to a head."""
    field = f"Sec-WebSocket-Extensions: permessage-deflate{terms}"
    return head.replace(b"\r\n\r\n", f"\r\n{field}\r\n\r\n".encode())


# Offers, an answer, and its fault.
TERMS = [
    ("", "", []),
    ("; client_max_window_bits", "; client_max_window_bits=9", []),
    ("; client_max_window_bits=10", "; client_max_window_bits=10; server_max_window_bits=8", []),
    ("; server_max_window_bits=9, permessage-deflate", "", []),
    ("; server_no_context_takeover", "; server_no_context_takeover; client_no_context_takeover", []),
    ("; server_no_context_takeover", "", ["fits no offer"]),
    ("; server_max_window_bits=9", "", ["fits no offer"]),
    ("; server_max_window_bits=9", "; server_max_window_bits=10", ["fits no offer"]),
    ("; client_max_window_bits=9", "; client_max_window_bits=10", ["fits no offer"]),
    ("", "; client_max_window_bits=10", ["fits no offer"]),
    ("; client_max_window_bits", "; client_max_window_bits", ["client_max_window_bits is None"]),
    ("", "; server_max_window_bits=16", ["server_max_window_bits is 16"]),
    ("", "; server_max_window_bits=09", ["server_max_window_bits is 09"]),
    ("", "; server_no_context_takeover=1", ["server_no_context_takeover with a value"]),
    ("", "; client_no_context_takeover; client_no_context_takeover", ["client_no_context_takeover twice"]),
    ("", "; level=9", ["unknown parameter level"]),
    ("", ", permessage-deflate", ["accepted twice"]),
]


def messages(side, bits, *texts):
    """Returns frames of these texts, compressed with a window of this many bits and context takeover."""
    context = zlib.compressobj(wbits=-bits)
    frames = b""
    for text in texts:
        data = (context.compress(text) + context.flush(zlib.Z_SYNC_FLUSH))[:-4]
        mask, key = (0x80, KEY_B) if side == "client" else (0, b"")
        length = bytes([mask | len(data)]) if len(data) < 126 else bytes([mask | 126]) + len(data).to_bytes(2, "big")
        payload = bytes(byte ^ key[k % 4] for k, byte in enumerate(data)) if key else data
        frames += b"\xc1" + length + key + payload
    return frames


# Incompressible data, and the same with a repetition 3,000 bytes back.
NOISE = random.Random(7).randbytes(500)
FAR = NOISE + bytes(2500) + NOISE
# A client's output after the server's answer.
CLIENT_FRAMES = {
    b"\x82\x83" + KEY_A + b"abc": [],
    b"\x81\xfe\x00\x7e" + KEY_A + bytes(126) + b"\x88\x82" + KEY_B + b"\xf3\x19": [],
    2 * (b"\x82\x81" + KEY_A + b"a"): [],
    3 * (b"\x82\x81" + KEY_A + b"a"): ["three frames with one masking key"],
    b"\x82\x03abc": ["an unmasked frame"],
    b"\x88\x82" + KEY_B + b"\xf3\x1c": ["close code 1005"],
    b"\x88\x83" + KEY_B + b"\xf3\x19\x0d": ["a close reason that is not UTF-8"],
    b"\x88\x80" + KEY_A + b"\x8a\x80" + KEY_B: ["a frame after Close"],
    b"\xc2\x80" + KEY_A: ["reserved bits 100"],
    b"\x82\x82" + KEY_A + b"a": ["ended inside a frame"],
}
REQUESTS = {
    REQUEST: [],
    REQUEST.replace(b"GET", b"PUT"): ["request line"],
    REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"): ["request line"],
    REQUEST.replace(b"Host: a", b"Host: a\r\nHost: b"): ["no single Host"],
    REQUEST.replace(b"Upgrade: websocket", b"Upgrade: h2c"): ["no 'Upgrade"],
    REQUEST.replace(b"Connection: Upgrade", b"Connection: close"): ["no 'Connection"],
    REQUEST.replace(b"Version: 13", b"Version: 8"): ["version ['8']"],
    REQUEST.replace(b"AQID", b""): ["not one of 16 bytes"],
    REQUEST.replace(KEY.encode(), b"?"): ["not one of 16 bytes"],
    REQUEST.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"): ["content-length in a request"],
}


def faults(tested, *parts, cut=16):
    """Returns the faults found in the bytes of one side, or of both alternately: (side, bytes)."""
    auditor = Auditor(tested)
    for side, data in parts:
        for at in range(0, len(data), cut):
            auditor.feed(side, data[at : at + cut])
    auditor.finish()
    return auditor.faults


class TapTest(unittest.TestCase):
    def assert_found(self, found, expected):
        self.assertEqual(len(found), len(expected), found)
        for text, part in zip(found, expected):
            self.assertIn(part, text)

    def test_frames(self):
        for frames, expected in FRAMES.items():
            for cut in (1, 7, 1 << 20):
                with self.subTest(frames=frames[:20], cut=cut):
                    found = faults("server", ("client", REQUEST), ("server", ANSWER + frames), cut=cut)
                    self.assertEqual(found, expected)

    def test_handshakes(self):
        for answer, expected in ANSWERS.items():
            with self.subTest(answer=answer):
                self.assert_found(faults("server", ("client", REQUEST), ("server", answer)), expected)

    def test_frames_of_a_client(self):
        for frames, expected in CLIENT_FRAMES.items():
            for cut in (1, 7, 1 << 20):
                with self.subTest(frames=frames[:20], cut=cut):
                    parts = ("client", REQUEST), ("server", ANSWER), ("client", frames)
                    self.assertEqual(faults("client", *parts, cut=cut), expected)

    def test_requests(self):
        for request, expected in REQUESTS.items():
            with self.subTest(request=request):
                self.assert_found(faults("client", ("client", request), ("server", ANSWER)), expected)

    def test_a_frame_before_the_answer(self):
        frame = b"\x82\x80" + KEY_A
        self.assertEqual(faults("client", ("client", REQUEST + frame)), ["a frame before the server's answer"])

    def test_a_negotiated_compressed_message(self):
        for tested, frame in (("server", b"\xc2\x00"), ("client", b"\xc2\x80" + KEY_A)):
            parts = ("client", with_terms(REQUEST, "")), ("server", with_terms(ANSWER, "")), (tested, frame)
            self.assertEqual(faults(tested, *parts), [])

    def test_terms(self):
        for offers, answer, expected in TERMS:
            with self.subTest(offers=offers, answer=answer):
                parts = ("client", with_terms(REQUEST, offers)), ("server", with_terms(ANSWER, answer))
                self.assert_found(faults("server", *parts), expected)

    def test_offers(self):
        for offers, expected in [
            ("; client_max_window_bits; server_max_window_bits=8", []),
            ("; server_max_window_bits", ["server_max_window_bits is None"]),
            ("; client_max_window_bits=7", ["client_max_window_bits is 7"]),
        ]:
            with self.subTest(offers=offers):
                self.assert_found(faults("client", ("client", with_terms(REQUEST, offers))), expected)

    def test_references_of_compressed_messages(self):
        for tested in ("client", "server"):
            agreed = f"; {tested}_max_window_bits="
            for bits, terms, expected in [
                (15, "", []),
                (11, agreed + "11", []),
                (12, agreed + "11", ["too far back"]),
                (9, agreed + "9", []),
                (12, agreed + "9", ["too far back"]),
            ]:
                for cut in (1, 100, 1 << 20):
                    with self.subTest(tested=tested, bits=bits, terms=terms, cut=cut):
                        offers = with_terms(REQUEST, "; client_max_window_bits")
                        parts = ("client", offers), ("server", with_terms(ANSWER, terms))
                        sent = tested, messages(tested, bits, FAR, FAR)
                        self.assert_found(faults(tested, *parts, sent, cut=cut), expected)

    def test_context_takeover(self):
        for tested in ("client", "server"):
            for terms, expected in [("", []), (f"; {tested}_no_context_takeover", ["too far back"])]:
                with self.subTest(tested=tested, terms=terms):
                    parts = ("client", with_terms(REQUEST, "")), ("server", with_terms(ANSWER, terms))
                    sent = tested, messages(tested, 15, NOISE, NOISE)
                    self.assert_found(faults(tested, *parts, sent), expected)

    def test_invalid_deflate_data(self):
        parts = ("client", with_terms(REQUEST, "")), ("server", with_terms(ANSWER, "") + b"\xc1\x03\xff\xff\xff")
        self.assert_found(faults("server", *parts), ["invalid block type"])

    def test_counts(self):
        auditor = Auditor("server")
        auditor.feed("client", with_terms(REQUEST, ""))
        auditor.feed("server", with_terms(ANSWER, "") + messages("server", 15, FAR, FAR) + b"\x01\x01a\x80\x01b")
        self.assertEqual((auditor.messages, auditor.compressed, auditor.size), (3, 2, 2 * len(FAR) + 2))
        self.assertLess(auditor.wire, len(FAR))

    def test_a_reused_key(self):
        for tested, expected in (("server", []), ("client", ["handshake: the key of an earlier connection"])):
            tap = Tap("127.0.0.1", 0, tested)
            for _ in range(2):
                auditor = Auditor(tested)
                auditor.feed("client", REQUEST)
                auditor.feed("server", ANSWER)
                tap.collect(auditor)
            self.assertEqual(tap.faults, [("/", fault) for fault in expected])


if __name__ == "__main__":
    unittest.main()
