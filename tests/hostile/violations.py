"""Frames that a peer must not send, and the close code that answers each."""

from peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

LIMIT = 16 << 20  # of a message, by default


def close(code, reason=b""):
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


LENGTHS = [
    *[(length, 1002) for length in (1 << 63, (1 << 63) + 1, *range((1 << 64) - 5, 1 << 64))],
    *[(length, 1009)
      for length in (LIMIT + 1, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, 1 << 53, (1 << 63) - 1)],
]
NOT_MINIMAL = [
    (form, length)
    for form, lengths in ((126, (0, 1, 125)), (127, (0, 125, 126, 65535)))
    for length in lengths
]

VIOLATIONS = [
    ("a frame without a mask", frame(TEXT, b"hi", mask=False), 1002),
    ("a ping without a mask", frame(PING, mask=False), 1002),
    *[(f"a length of {length:#x}", frame(BINARY, declared=length), code) for length, code in LENGTHS],
    *[(f"a length of {length} in the form of {form}",
       bytes([0x82, 0x80 | form]) + length.to_bytes(2 if form == 126 else 8, "big") + bytes(4), 1002)
      for form, length in NOT_MINIMAL],
    ("one byte over the limit, in fragments", frame(BINARY, b"x", fin=False) + frame(CONTINUATION, declared=LIMIT), 1009),
    ("one byte over the limit, a ping between its fragments",
     frame(BINARY, b"x", fin=False) + frame(PING) + frame(CONTINUATION, declared=LIMIT), 1009),
    *[(f"the reserved bits {bits:#x}", frame(0, b"hi", first=0x81 | bits), 1002) for bits in (0x10, 0x20, 0x30, 0x50, 0x70)],
    ("a reserved bit on a ping", frame(0, first=0x99), 1002),
    ("a compressed frame without negotiation", frame(0, b"hi", first=0xC1), 1002),
    *[(f"the reserved opcode {opcode:#x}", frame(0, first=0x80 | opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    ("a continuation without a message", frame(CONTINUATION, b"hi"), 1002),
    ("a continuation of a finished message", frame(TEXT, b"a") + frame(CONTINUATION, b"b"), 1002),
    ("a message inside another", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    *[(f"a control frame {opcode} of 126 bytes", frame(opcode, b"x" * 126), 1002) for opcode in (CLOSE, PING, PONG)],
    *[(f"a fragmented control frame {opcode}", frame(opcode, b"", fin=False), 1002) for opcode in (CLOSE, PING, PONG)],
    ("a Close of one byte", frame(CLOSE, b"\x03"), 1002),
    *[(f"a Close with {code}", close(code), 1002)
      for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)],
    ("a Close whose reason is not UTF-8", close(1000, b"\xff"), 1007),
    ("a Close whose reason stops inside a character", close(1000, b"caf\xc3"), 1007),
    ("text that is not UTF-8", frame(TEXT, b"caf\xe9"), 1007),
    ("text that stops inside a character", frame(TEXT, b"caf\xc3"), 1007),
    ("text in overlong UTF-8", frame(TEXT, b"\xc0\xaf"), 1007),
    ("text with a lone surrogate", frame(TEXT, b"\xed\xa0\x80"), 1007),
    ("text beyond U+10FFFF", frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    ("text whose second fragment is not UTF-8", frame(TEXT, b"caf\xc3", fin=False) + frame(CONTINUATION, b"("), 1007),
    ("text whose first byte is bad, with more to come", frame(TEXT, b"\xff", declared=1 << 20), 1007),
    ("text whose first fragment is bad, with more to come", frame(TEXT, b"\xff", fin=False), 1007),
]

# A valid Close; bytes after it change nothing.
VALID_CLOSES = [
    *[(f"a Close with {code}", close(code, b"why"), code)
      for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)],
    ("a Close without a code", frame(CLOSE), None),
    ("a Close with the longest reason", close(1000, b"x" * 123), 1000),
    ("a Close in the middle of a message", frame(TEXT, b"half", fin=False) + close(1000), 1000),
    ("a bad frame after a Close", close(1000) + b"\xff" * 100, 1000),
    ("a ping after a Close", close(1000) + frame(PING), 1000),
    ("a second Close", close(1000) + close(1001), 1000),
    ("a megabyte after a Close", close(1000) + bytes(1 << 20), 1000),
]
