//! The deflate stream inside a message: its blocks, its window, and invalid streams (RFC 1951, RFC 7692 §7.2).

use super::bits::{Stream, Token};
use super::oracle::Oracle;
use ws_kit::deflate::*;
use ws_kit::frames::*;
use ws_proto::deflate::Direction;
use ws_proto::{ProtocolError, Role, SendError, State};
use zlib_rs::DeflateFlush;

const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";

/// Inflates compressed messages, all of which must be valid.
fn inflated<M: AsRef<[u8]>>(theirs: Direction, compressed_messages: &[M]) -> Vec<Vec<u8>> {
    let (mut connection, now) = open_by(Role::Server, config(deflate()), FULL, theirs);
    let wire: Vec<u8> = compressed_messages
        .iter()
        .flat_map(|message| compressed(Role::Server, BINARY, message.as_ref()))
        .collect();
    messages(&feed(&mut connection, now, &wire))
}

/// Sends a valid message, then a broken one: the first is delivered, nothing of the other is, the connection fails with
/// 1007, and closes.
fn assert_broken(theirs: Direction, good: &[u8], broken: &[u8], why: &str) {
    for role in ROLES {
        for cut in [0, broken.len() / 2, broken.len().saturating_sub(1), broken.len()] {
            let (mut connection, now) = open_by(role, config(deflate()), FULL, theirs);
            let mut wire = compressed(role, BINARY, good);
            wire.extend(in_frames(role, RSV1 | BINARY, &[&broken[..cut], &broken[cut..]]));
            wire.extend(compressed(role, BINARY, HELLO));
            wire.extend(frame_to(role, FIN | BINARY, b"after it"));
            let events = feed(&mut connection, now, &wire);
            assert_eq!(events.len(), 1, "{why}: {events:?}");
            assert_eq!(connection.state(), State::Closing, "{why}");
            assert_eq!(connection.send("late"), Err(SendError::NotOpen));
            assert_eq!(close_code(&take_output(&mut connection, now)), Some(1007), "{why}");
            assert_eq!(fault(&end(&mut connection, now)), Some(ProtocolError::DeflateInvalid), "{why}");
        }
    }
}

fn matches(len: u16, distance: u16) -> [Token; 1] {
    [Token::Match(len, distance)]
}

#[test]
fn the_examples_of_the_rfc_are_inflated() {
    // §7.2.3.1 in one frame and in two, then §7.2.3.3, §7.2.3.4, §7.2.3.5.
    let two_blocks = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    for example in [
        HELLO,
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        two_blocks,
    ] {
        assert_eq!(inflated(ALONE, &[example, example]), [b"Hello", b"Hello"], "{example:x?}");
        assert_eq!(inflated(FULL, &[example, b"\xf2\x00\x11\x00\x00"]), [b"Hello", b"Hello"], "{example:x?}");
    }
    let (mut server, now) = open_full(Role::Server);
    assert!(feed(&mut server, now, b"\x41\x83\0\0\0\0\xf2\x48\xcd").is_empty());
    let events = feed(&mut server, now, b"\x80\x84\0\0\0\0\xc9\xc9\x07\x00");
    assert_eq!(messages(&events), [b"Hello"]);
    // §7.2.3.6, and its equivalent in empty blocks.
    let empty =
        Stream::new().fixed(false, &[]).stored(false, b"").fixed(true, &[]).stored(true, b"").message();
    assert_eq!(inflated(FULL, &[&b"\x00"[..], &empty, HELLO]), [&b""[..], b"", b"Hello"]);
}

#[test]
fn blocks_after_a_last_one_refer_to_data_before_it() {
    let hello = |last| Stream::new().text(last, "Hello");
    for (stream, want) in [
        (hello(true).fixed(false, &matches(5, 5)), "HelloHello"),
        (hello(true).fixed(true, &matches(5, 5)).fixed(true, &matches(10, 10)), "HelloHelloHelloHello"),
        (hello(true).fixed(true, &[]).stored(true, b"").fixed(false, &matches(5, 5)), "HelloHello"),
        (hello(true).stored(true, b", ").text(true, "you").fixed(false, &matches(5, 10)), "Hello, youHello"),
        (hello(false).fixed(true, &matches(3, 5)).fixed(true, &matches(4, 8)), "HelloHelHell"),
    ] {
        // With the proper empty block after it, and without: then the last block ends the message.
        let ends_there = stream.clone().cut_here();
        let ends_there = inflates_by_itself(&ends_there).then_some(ends_there);
        for message in [stream.message()].into_iter().chain(ends_there) {
            for theirs in [FULL, ALONE] {
                assert_eq!(
                    inflated(theirs, &[&message[..], HELLO]),
                    [want.as_bytes(), b"Hello"],
                    "{message:x?}"
                );
            }
            // Cut into frames anywhere.
            for cut in 0..=message.len() {
                let (mut server, now) = open_full(Role::Server);
                let parts = [&message[..cut], &message[cut..]];
                let events = feed(&mut server, now, &in_frames(Role::Server, RSV1 | TEXT, &parts));
                assert_eq!(messages(&events), [want.as_bytes()], "{parts:x?}");
            }
        }
    }
}

#[test]
fn a_last_block_keeps_the_window_for_the_next_message_only_with_takeover() {
    let hello = Stream::new().text(true, "Hello");
    for first in [hello.clone().message(), hello.clone().cut_here(), hello.stored(true, b"").cut_here()] {
        for second in [
            Stream::new().fixed(false, &matches(5, 5)).message(),
            Stream::new().fixed(true, &matches(5, 5)).message(),
            Stream::new().fixed(true, &[]).fixed(true, &matches(5, 5)).cut_here(),
        ] {
            assert_eq!(inflated(FULL, &[&first, &second, &second]), [b"Hello"; 3], "{first:x?} {second:x?}");
            assert_broken(ALONE, &first, &second, "a reference to another message");
        }
    }
}

#[test]
fn a_stream_that_ends_with_each_message_is_inflated() {
    // Each stream refers to the earlier ones only through a dictionary.
    let parts: Vec<Vec<u8>> = (0..6).map(|n| [noise(7, 9000), noise(n, 2500)].concat()).collect();
    let mut before: Vec<u8> = Vec::new();
    let mut streams = Vec::new();
    for part in &parts {
        let mut zip = zlib_rs::Deflate::new(9, false, 15);
        if !before.is_empty() {
            zip.set_dictionary(&before).unwrap();
        }
        let mut out = vec![0; 2 * part.len()];
        zip.compress(part, &mut out, DeflateFlush::Finish).unwrap();
        out.truncate(zip.total_out() as usize);
        before.extend(part);
        streams.push(out);
    }
    assert!(streams[1..].iter().all(|stream| stream.len() < 4000), "they refer to earlier data");
    assert_eq!(inflated(FULL, &streams), parts, "one message each");
    assert_eq!(inflated(ALONE, &[streams.concat()]), [parts.concat()], "all in one message");
}

#[test]
fn references_reach_the_whole_window_across_last_blocks_and_messages() {
    let data = noise(1, 40_000);
    let back = |distance: usize, len: usize| data[data.len() - distance..][..len].to_vec();
    let far = |last| Stream::new().fixed(last, &[Token::Match(200, 32_768)]).message();
    for last in [false, true] {
        let stream = Stream::new().stored(last, &data);
        assert_eq!(inflated(FULL, &[stream.clone().message(), far(last)])[1], back(32_768, 200));
        let joined = stream.clone().fixed(last, &matches(200, 32_768)).message();
        assert_eq!(inflated(ALONE, &[&joined]), [[data.clone(), back(32_768, 200)].concat()]);
        // In many small steps.
        let mut stream = Stream::new();
        for (n, part) in data.chunks(3001).enumerate() {
            stream = stream.stored(last && n % 2 == 0, part).fixed(last, &[]);
        }
        assert_eq!(inflated(FULL, &[stream.message(), far(last)])[1], back(32_768, 200));
    }
    let short = Stream::new().stored(true, &data[..1000]).message();
    assert_eq!(
        inflated(FULL, &[short.clone(), Stream::new().fixed(true, &matches(9, 1000)).message()]).len(),
        2
    );
    assert_broken(FULL, &short, &Stream::new().fixed(true, &matches(9, 1001)).message(), "before all data");
}

#[test]
fn an_invalid_stream_fails_the_connection_and_delivers_nothing() {
    let good = Stream::new().text(false, "good").message();
    let long_good = [noise(1, 20_000), vec![0; 20_000]].concat();
    for (broken, why) in [
        (Stream::new().text(false, "x").bits(0b110, 3).message(), "an invalid block type"),
        (Stream::new().stored(false, &long_good).bits(0b110, 3).message(), "after much valid data"),
        (vec![0x07], "an invalid last block type"),
        (vec![0, 5, 0, 0, 0, 1, 2, 3, 4, 5, 0], "a stored length that contradicts its complement"),
        (Stream::new().bits(0b100, 3).bits(!0, 32).bits(!0, 32).message(), "too many codes"),
        (Stream::new().fixed(false, &matches(3, 5)).message(), "before the first message"),
        (
            Stream::new().text(true, "Hell").fixed(false, &matches(3, 9)).message(),
            "before the first message, across a last block",
        ),
        (Stream::new().text(false, "\u{ff}\u{ff}").cut_here(), "no empty block at its end"),
        (Stream::new().stored(false, b"stored").cut_here(), "no empty block after a stored one"),
        (Vec::new(), "nothing at all"),
        (HELLO[..6].to_vec(), "cut off"),
        (b"\xf2\x48\xcd\xc9\xc9\x07\x00\xff".to_vec(), "a byte too many"),
        (b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00".to_vec(), "another byte too many"),
        (b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff".to_vec(), "most of its tail"),
        (Stream::new().text(true, "x").bits(0xff, 8).cut_here(), "garbage after a last block"),
    ] {
        assert_broken(FULL, &good, &broken, why);
        assert_broken(ALONE, &good, &broken, why);
    }
}

#[test]
fn the_tail_may_be_sent_with_a_message() {
    // A sender that does not strip the tail has sent one more empty block.
    let mut zip = Zip::new(FULL);
    let first = [zip.message(b"Hello"), TAIL.to_vec(), vec![0]].concat();
    assert_eq!(inflated(FULL, &[first, zip.message(b"Hello")]), [b"Hello", b"Hello"]);
}

#[test]
fn a_message_that_is_cut_off_at_any_byte_fails() {
    let text = b"so that there is something to refer to, and something to refer from; ".repeat(9);
    let good = Stream::new().text(false, "good").message();
    let full: [Vec<u8>; 5] = [
        Zip::with_level(FULL, 9).message(&text),
        Zip::with_level(FULL, 1).message(&noise(1, 300)),
        Stream::new().text(false, "fixed codes").fixed(true, &matches(9, 11)).text(false, "!").message(),
        Stream::new().stored(false, &text[..100]).stored(true, b"last").text(false, "x").message(),
        Zip::with_level(FULL, 9).message(&[&noise(1, 90)[..], &[0; 900]].concat()),
    ];
    let mut shorter = 0;
    for message in &full {
        for cut in 0..message.len() {
            let cut = &message[..cut];
            // A message may also end with a last block, or after the first byte of a stored one.
            let ends = inflates_by_itself(cut) || inflates_by_itself(&[cut, &TAIL].concat());
            if ends || Oracle::new(true, 15).message(cut).is_ok() {
                shorter += 1;
            } else {
                assert_broken(FULL, &good, cut, &format!("cut off: {cut:x?}"));
            }
        }
    }
    assert!(shorter < 10, "{shorter} truncated messages are valid");
}

/// Whether a stream ends with a last block. The streams do not refer to other messages.
fn inflates_by_itself(stream: &[u8]) -> bool {
    let (mut rest, mut window) = (stream, Vec::new());
    while !rest.is_empty() {
        let mut inflate = zlib_rs::Inflate::new(false, 15);
        inflate.set_dictionary(&window).unwrap();
        let mut out = vec![0; 1 << 16];
        match inflate.decompress(rest, &mut out, zlib_rs::InflateFlush::NoFlush) {
            Ok(zlib_rs::Status::StreamEnd) => rest = &rest[inflate.total_in() as usize..],
            _ => return false,
        }
        window.extend(&out[..inflate.total_out() as usize]);
    }
    !stream.is_empty()
}

#[test]
fn inflating_needs_a_small_stack() {
    let data = [noise(1, 100_000), vec![0; 100_000], b"and some text, ".repeat(9000)].concat();
    let message = Zip::with_level(FULL, 9).message(&data);
    let nasty = Stream::new().bits(0b100, 3).bits(!0, 32).bits(!0, 32).message();
    let on_it = move || {
        let (mut connection, now) = open_full(Role::Server);
        let bytes = compressed(Role::Server, BINARY, &message);
        assert_eq!(messages(&feed(&mut connection, now, &bytes)), [data]);
        connection.send(&message[..]).unwrap();
        assert!(feed(&mut connection, now, &compressed(Role::Server, BINARY, &nasty)).is_empty());
        assert_eq!(connection.state(), State::Closing);
    };
    let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn(on_it).unwrap();
    thread.join().unwrap();
}
