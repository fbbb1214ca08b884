//! Valid and invalid frames.

use super::{OPEN, Setup};

/// The masking key of the examples in §5.7.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// The first byte of a fragment that is not the last.
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;

/// A part of the input.
pub(super) enum Part {
    Frame(u8, Vec<u8>),
    /// A false header: its first byte, its second without the masking bit, and the following bytes.
    Raw(u8, u8, &'static [u8]),
}

fn frame(first: u8, payload: impl Into<Vec<u8>>) -> Part {
    Part::Frame(first, payload.into())
}

/// The bytes as a client or a server sends them.
pub(super) fn wire(masked: bool, parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    let mask = u8::from(masked) << 7;
    for part in parts {
        let (first, payload) = match part {
            Part::Frame(first, payload) => (*first, payload),
            Part::Raw(first, second, rest) => {
                out.extend([*first, mask | second]);
                out.extend(*rest);
                continue;
            }
        };
        out.push(first);
        match payload.len() {
            len @ 0..=125 => out.push(mask | len as u8),
            len @ 126..=0xffff => {
                out.push(mask | 126);
                out.extend((len as u16).to_be_bytes());
            }
            len => {
                out.push(mask | 127);
                out.extend((len as u64).to_be_bytes());
            }
        }
        let key = if masked { &KEY[..] } else { &[] };
        out.extend(key);
        let mut key = key.iter().cycle();
        out.extend(payload.iter().map(|byte| byte ^ key.next().unwrap_or(&0)));
    }
    out
}

/// Name, configuration, script, and input.
pub(super) fn all() -> Vec<(&'static str, Setup, &'static [u8], Vec<Part>)> {
    let close = |code: u16, reason: &str| frame(CLOSE, [&code.to_be_bytes()[..], reason.as_bytes()].concat());
    let pieces = |whole: u8| [whole << 2, 0, 0x80, 0];
    let text = |text: &str| frame(TEXT, text);
    vec![
        ("rfc_5_7_hello", OPEN, b"", vec![text("Hello")]),
        ("rfc_5_7_hello_in_fragments", OPEN, b"", vec![frame(1, "Hel"), frame(LAST, "lo")]),
        ("rfc_5_7_ping_and_pong", OPEN, b"", vec![frame(PING, "Hello"), frame(PONG, "Hello")]),
        ("rfc_5_7_of_256_bytes", OPEN, b"", vec![frame(BINARY, vec![7; 256])]),
        (
            "rfc_5_4_a_ping_between_fragments",
            OPEN,
            b"",
            vec![
                frame(1, "one "),
                frame(PING, "?"),
                frame(MORE, ""),
                frame(LAST, "two"),
                close(1000, "done"),
            ],
        ),
        ("rfc_5_5_1_close_without_a_body", OPEN, b"", vec![text("last"), frame(CLOSE, "")]),
        ("close_with_a_reason", OPEN, b"", vec![close(4001, "enough, 水")]),
        ("close_and_more", OPEN, b"", vec![close(1001, ""), text("nobody reads this")]),
        (
            "our_close_crosses_messages",
            OPEN,
            b"\x81\x89",
            vec![text("before"), frame(PING, "?"), text("behind"), close(1000, "")],
        ),
        ("bad_close_of_one_byte", OPEN, b"", vec![frame(CLOSE, [3])]),
        ("bad_close_code", OPEN, b"", vec![close(1005, "")]),
        ("bad_close_reason", OPEN, b"", vec![frame(CLOSE, [3, 0xe8, 0xff])]),
        ("bad_reserved_bit", OPEN, b"", vec![text("good"), frame(0xc1, "bad")]),
        ("bad_opcode", OPEN, b"", vec![frame(0x83, "")]),
        ("bad_continuation_of_nothing", OPEN, b"", vec![frame(LAST, "x")]),
        ("bad_message_inside_another", OPEN, b"", vec![frame(1, "x"), text("y")]),
        ("bad_ping_in_fragments", OPEN, b"", vec![frame(0x09, "x")]),
        ("bad_ping_of_126_bytes", OPEN, b"", vec![Part::Raw(PING, 126, &[0, 126])]),
        ("bad_length_not_minimal", OPEN, b"", vec![Part::Raw(BINARY, 126, &[0, 125])]),
        (
            "bad_length_with_the_highest_bit",
            OPEN,
            b"",
            vec![Part::Raw(BINARY, 127, &[0x80, 0, 0, 0, 0, 0, 0, 0])],
        ),
        (
            "a_length_that_is_only_declared",
            OPEN,
            b"",
            vec![Part::Raw(BINARY, 127, &[0, 0, 0, 0, 0, 0xff, 0, 0, 1, 2, 3, 4, 5])],
        ),
        ("bad_text", OPEN, b"", vec![text("good"), frame(TEXT, [b'a', 0xff])]),
        (
            "bad_text_over_fragments",
            OPEN,
            b"",
            vec![frame(1, "水".as_bytes()[..2].to_vec()), frame(LAST, "x")],
        ),
        (
            "text_cut_inside_a_character",
            OPEN,
            b"\x01",
            vec![
                frame(1, "水".as_bytes()[..1].to_vec()),
                frame(MORE, "水".as_bytes()[1..2].to_vec()),
                frame(LAST, "水".as_bytes()[2..].to_vec()),
            ],
        ),
        (
            "pieces",
            pieces(1),
            b"\x03",
            vec![frame(1, "first, "), frame(PING, ""), frame(MORE, "second, "), frame(LAST, "last")],
        ),
        (
            "pieces_of_a_huge_frame",
            pieces(2),
            b"\x04",
            vec![text("short"), text("longer than ten bytes: 水水水水"), frame(BINARY, vec![1; 40])],
        ),
        (
            "pieces_that_end_in_a_fault",
            pieces(1),
            b"",
            vec![frame(1, "good "), frame(LAST, [b'g', 0xc3, b'x'])],
        ),
        // A fault not yet reported, because reading paused after the valid chunk before it.
        (
            "pieces_with_a_fault_behind_the_last_of_a_second",
            [4, 0, 0x82, 0],
            b"",
            vec![frame(TEXT, b"good\xff")],
        ),
        ("pieces_without_content", pieces(3), b"", vec![frame(1, ""), frame(MORE, ""), frame(LAST, "")]),
        ("too_big", [1, 0, 0x80, 0], b"", vec![text("sixteen at most"), text("seventeen is more")]),
        (
            "too_big_in_fragments",
            [1, 0, 0x80, 0],
            b"\x02",
            vec![frame(2, vec![1; 9]), frame(MORE, vec![1; 9]), frame(LAST, "")],
        ),
        ("a_flood_of_pings", [0xc0, 0, 0x80, 0], b"\x20", (0..25).map(|n| frame(PING, [n])).collect()),
        ("a_flood_of_nothing", [0x80, 0, 0x80, 0], b"", vec![text(""), text("")]),
        (
            "more_pings_than_are_answered",
            [0x40, 0, 0x80, 0],
            b"\x20",
            (0..20).map(|n| frame(PING, [n])).collect(),
        ),
        (
            "a_slow_reader",
            [0x20, 0, 0x80, 0],
            b"\x26\x45\x25\x00",
            (0..12).map(|n| frame(BINARY, vec![n; 90])).collect(),
        ),
        ("a_reader_that_stops", [0x10, 0, 0x80, 1], b"\x38", vec![text("echoed"), text("and again")]),
        (
            "paced",
            [0, 0, 0x82, 0],
            b"\x10",
            vec![text("one"), text("a second later"), text("two seconds later")],
        ),
        (
            "heartbeats",
            [0, 0, 0x88, 0],
            b"\x19",
            vec![text("alive"), frame(PONG, "there?"), frame(PONG, "there?")],
        ),
        ("one_way_heartbeats", [0, 0, 0x8c, 1], b"\x1b", vec![text("alive"), text("still")]),
        (
            "answers_to_pings_of_ours",
            OPEN,
            b"\x81\x05\x00",
            vec![text("x"), frame(PONG, "?"), frame(PONG, "?")],
        ),
        ("fragments_of_ours", OPEN, b"\x80\x07\x80\x06\x80\x08\x01", vec![text("a"), text("b"), text("c")]),
        (
            "large_messages_of_ours",
            [0x30, 0, 0x80, 0],
            b"\x81\x0e\x60\x81\x0d",
            vec![text("a"), text("b"), text("c")],
        ),
        ("silence", [0, 0, 0x88, 1], b"", vec![frame(1, "never ended")]),
        ("a_reset", [0, 0, 0x80, 2], b"", vec![text("x"), Part::Raw(TEXT, 5, b"")]),
        ("our_close_unanswered", [0, 0, 0x80, 3], b"", vec![text("x")]),
        (
            "little_is_thrown_away",
            [0, 0, 0x80, 0x10],
            b"",
            vec![frame(0xf1, ""), frame(BINARY, vec![0; 200])],
        ),
    ]
}

/// Compressed messages, valid ones and then a broken one: name, configuration, and input.
pub(super) fn compressed() -> Vec<(String, Setup, Vec<Part>)> {
    let pieces = [4, 0, 0x80, 0];
    let small_pieces = [5, 0, 0x80, 0];
    // "Hello" in a block with fixed codes that ends at this byte, leaving three bits of a header.
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let stored = |data: &[u8]| [&[0, data.len() as u8, 0, !(data.len() as u8), 0xff], data].concat();
    let text = |parts: &[&[u8]]| vec![frame(0xc1, hello), frame(0xc1, parts.concat())];
    let good = stored(b"good, and plain");
    let mut all = Vec::new();
    for (setup, how) in [(OPEN, "joined"), (pieces, "in_pieces"), (small_pieces, "in_small_pieces")] {
        for (name, message) in [
            ("compressed_and_good", text(&[&good, &[0]])),
            (
                "compressed_in_fragments",
                vec![frame(0x41, &hello[..3]), frame(MORE, ""), frame(LAST, &hello[3..])],
            ),
            (
                "compressed_nothing",
                vec![frame(0xc1, [0]), frame(0x41, ""), frame(LAST, [0]), frame(0xc1, hello)],
            ),
            ("compressed_with_a_bad_block", text(&[&good, &[6, 1, 2, 3]])),
            ("compressed_with_a_bad_length", text(&[&good, &[0, 4, 0, 4, 0, 1, 2, 3]])),
            ("compressed_with_bad_text_and_a_bad_block", text(&[&stored(b"good \xff"), &[6]])),
            ("compressed_without_an_end", text(&[&good])),
            ("compressed_over_the_limit_and_bad", text(&[&good, &stored(b"and more"), &[6]])),
        ] {
            all.push((format!("{name}_{how}"), setup, message));
        }
    }
    all
}
