//! Compressed text is validated as it is inflated: the first bad byte fails, and no character is split.

use ws_kit::deflate::*;
use ws_kit::frames::*;
use ws_proto::{ProtocolError, State};
use zlib_rs::DeflateFlush;

/// Invalid UTF-8, with the number of bytes that are still a valid prefix (RFC 3629, Unicode table 3-7).
const BAD: [(&[u8], usize); 14] = [
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"\xff", 0),
    (b"\xfe", 0),
    (b"\xc0\xaf", 0),
    (b"\xc1\xbf", 0),
    (b"\xc2a", 1),
    (b"\xe0\x80\x80", 1),
    (b"\xe6\xb0a", 2),
    (b"\xed\xa0\x80", 1),
    (b"\xf0\x80\x80\x80", 1),
    (b"\xf0\x9d\x84a", 3),
    (b"\xf4\x90\x80\x80", 1),
    (b"\xf5\x80\x80\x80", 0),
];

#[test]
fn the_first_bad_byte_fails_before_the_message_is_complete() {
    for role in ROLES {
        for (bad, could_be) in BAD {
            for before in ["", "a", "水", "𝄞 and some text before it"] {
                // Each byte is flushed, so that it is available as soon as its compressed bytes are.
                let text = [before.as_bytes(), bad, b" and some text behind it"].concat();
                let mut zip = Zip::new(FULL);
                let fails_at = before.len() + could_be;
                for in_one_frame in [true, false] {
                    let (mut connection, now) = open_full(role);
                    let parts: Vec<_> =
                        text.chunks(1).map(|byte| zip.part(byte, DeflateFlush::SyncFlush)).collect();
                    if in_one_frame {
                        let whole = compressed(role, TEXT, &parts.concat());
                        let payload = parts.concat().len();
                        feed(&mut connection, now, &whole[..whole.len() - payload]);
                        let mut at = whole.len() - payload;
                        for (n, part) in parts.iter().enumerate().take(fails_at + 1) {
                            assert_eq!(connection.state(), State::Open, "{bad:x?} after {before:?}, at {n}");
                            assert!(feed(&mut connection, now, &whole[at..at + part.len()]).is_empty());
                            at += part.len();
                        }
                    } else {
                        for (n, part) in parts.iter().enumerate().take(fails_at + 1) {
                            assert_eq!(connection.state(), State::Open, "{bad:x?} after {before:?}, at {n}");
                            let first = if n == 0 { RSV1 | TEXT } else { CONTINUATION };
                            assert!(feed(&mut connection, now, &frame_to(role, first, part)).is_empty());
                        }
                    }
                    assert_eq!(connection.state(), State::Closing, "{bad:x?} after {before:?}");
                    assert_eq!(close_code(&take_output(&mut connection, now)), Some(1007));
                    assert_eq!(fault(&end(&mut connection, now)), Some(ProtocolError::TextNotUtf8));
                    zip = Zip::new(FULL);
                }
            }
        }
    }
}

#[test]
fn half_a_character_fails_only_at_the_end_of_a_message() {
    for character in ["é", "水", "𝄞"] {
        for cut in 1..character.len() {
            let text = ["text ".as_bytes(), character.as_bytes()].concat();
            let (half, rest) = text.split_at(5 + cut);
            let (mut connection, now) = open_full(CLIENT);
            let mut zip = Zip::new(FULL);
            let whole = in_frames(CLIENT, RSV1 | TEXT, &zip.fragments(&[half, b"", rest]));
            assert_eq!(messages(&feed(&mut connection, now, &whole)), [&text[..]]);
            assert!(feed(&mut connection, now, &compressed(CLIENT, TEXT, &zip.message(half))).is_empty());
            assert_eq!(fault(&end(&mut connection, now)), Some(ProtocolError::TextNotUtf8));
        }
    }
}

#[test]
fn characters_stay_whole_across_frames_reads_and_chunks() {
    // Characters of 1, 2, 3 and 4 bytes, so that they span every boundary.
    let text = "aé水𝄞".repeat(4000);
    for skip in 0..4 {
        let text = &["x".repeat(skip), text.clone()].concat();
        let mut zip = Zip::new(FULL);
        let parts: Vec<&[u8]> = text.as_bytes().chunks(997).collect();
        for wire in [
            compressed(CLIENT, TEXT, &zip.message(text.as_bytes())),
            in_frames(CLIENT, RSV1 | TEXT, &Zip::new(FULL).fragments(&parts)),
        ] {
            for read in [1, 3, 100, usize::MAX] {
                let (mut connection, now) = open_full(CLIENT);
                let events: Vec<_> =
                    wire.chunks(read).flat_map(|read| feed(&mut connection, now, read)).collect();
                assert!(messages(&events) == [text.as_bytes()], "{skip}, {read}");
            }
        }
    }
}

#[test]
fn invalid_utf8_is_valid_in_a_binary_message() {
    let (mut connection, now) = open_full(CLIENT);
    let bytes = compressed(CLIENT, BINARY, &Zip::new(FULL).message(b"\xff\xfe\x80"));
    assert_eq!(messages(&feed(&mut connection, now, &bytes)), [b"\xff\xfe\x80"]);
    // Compressed bytes are not text either.
    let bytes = compressed(CLIENT, TEXT, &Zip::new(FULL).message("水".as_bytes()));
    let (mut connection, now) = open_full(CLIENT);
    assert_eq!(messages(&feed(&mut connection, now, &bytes)), ["水".as_bytes()]);
}
