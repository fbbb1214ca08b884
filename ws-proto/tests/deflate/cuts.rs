//! Valid data before a fault is delivered first, for any reads: the same events for every cut.

use super::bits::{Stream, Token};
use ws_kit::deflate::*;
use ws_kit::frames::*;
use ws_proto::{Config, Connection, Delivery, Event, Moment, ProtocolError, Role};

/// The comparable events of one connection: adjacent chunks are joined.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    whole: Vec<Vec<u8>>,
    begun: Vec<u8>,
    fault: Option<ProtocolError>,
    output: Vec<u8>,
}

/// Passes the reads as an adapter does, which calls again only while input is left, and then ends the stream.
fn outcome(role: Role, config: &Config, reads: &[&[u8]]) -> Outcome {
    let (mut connection, now) = open_by(role, config.clone(), FULL, FULL);
    let mut outcome = Outcome::default();
    for read in reads {
        let mut read = read.to_vec();
        let mut input = &mut read[..];
        while !input.is_empty() {
            let Some(event) = next(&mut connection, now, &mut input) else { continue };
            match event {
                Event::Message(message) => outcome.whole.push(message.as_bytes().to_vec()),
                Event::Fragment(fragment) => {
                    assert_eq!(fragment.first, outcome.begun.is_empty());
                    outcome.begun.extend(fragment.data.as_bytes());
                    if fragment.last {
                        outcome.whole.push(std::mem::take(&mut outcome.begun));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(connection.poll_event(now).is_none());
    }
    outcome.output = take_output(&mut connection, now);
    outcome.fault = fault(&end(&mut connection, now));
    outcome
}

fn next<'a>(connection: &mut Connection, now: Moment, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
    connection.handle_input(now, input).or_else(|| connection.poll_event(now))
}

/// The events for the bytes of a message, or its beginning, are the same for every cut. They are as expected in chunks,
/// and whole except for an unfinished message.
fn assert_same_for_every_cut(
    why: &str,
    limit: u64,
    opcode: u8,
    message: &[u8],
    good: &[u8],
    want: ProtocolError,
) {
    let third = message.len() / 3;
    let parts = [
        vec![message],
        vec![&message[..third], &message[third..]],
        vec![b"", &message[..third], b"", &message[third..2 * third], &message[2 * third..], b""],
    ];
    for role in ROLES {
        for parts in &parts {
            let mut wire = compressed(role, BINARY, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
            wire.extend(in_frames(role, RSV1 | opcode, parts));
            wire.extend(frame_to(role, FIN | PING, b"behind"));
            for delivery in [Delivery::Whole, Delivery::Chunked { whole: 0 }] {
                let config = config(deflate()).message_limit(limit).delivery(delivery);
                let whole = outcome(role, &config, &[&wire]);
                assert_eq!(whole.fault, Some(want), "{why}");
                assert_eq!(whole.whole, [b"Hello"], "{why}");
                let good = if delivery == Delivery::Whole { b"" } else { good };
                assert_eq!(whole.begun.escape_ascii().to_string(), good.escape_ascii().to_string(), "{why}");
                for cut in 1..wire.len() {
                    let halves = outcome(role, &config, &[&wire[..cut], &wire[cut..]]);
                    assert_eq!(halves, whole, "{why}: cut at {cut} of {}", wire.len());
                }
                for size in [1, 2, 3] {
                    let small: Vec<_> = wire.chunks(size).collect();
                    assert_eq!(outcome(role, &config, &small), whole, "{why}: {size} at a time");
                }
            }
        }
    }
}

const GOOD: &str = "good, and plain";
const LIMIT: u64 = 1 << 20;

fn good() -> Stream {
    Stream::new().text(false, GOOD)
}

/// Inside an unfinished block of valid text.
fn inside_good() -> Stream {
    GOOD.bytes().fold(Stream::new().bits(0b010, 3), |stream, byte| stream.symbol(byte.into()))
}

/// Invalid deflate streams with a valid beginning.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let end = [1, 2, 3, 4];
    let stored = |len: u16, not_len: u16| {
        let lens = [len.to_le_bytes(), not_len.to_le_bytes()].concat();
        [good().bits(0, 3).cut_here(), lens, end.to_vec()].concat()
    };
    let behind = |stream: Stream| [stream.cut_here(), end.to_vec()].concat();
    vec![
        ("a block of type 3", behind(good().bits(0b110, 3))),
        ("a last block of type 3", behind(good().bits(0b111, 3))),
        ("a block of type 3 and nothing after it", good().bits(0b110, 3).cut_here()),
        ("a block of type 3 after a last one", behind(Stream::new().text(true, GOOD).bits(0b110, 3))),
        (
            "a block of type 3 after a stored one",
            behind(Stream::new().stored(false, GOOD.as_bytes()).bits(0b110, 3)),
        ),
        ("a distance beyond all data", behind(good().fixed(false, &[Token::Match(5, 21)]))),
        ("an invalid distance", behind(inside_good().symbol(257).code(30, 5))),
        ("an invalid length", behind(inside_good().symbol(286))),
        ("a stored length without complement", stored(4, 4)),
        ("a stored length with a wrong complement", stored(4, !5)),
        ("too many codes", behind(good().bits(0b100, 3).bits(31, 5).bits(31, 5).bits(0, 4))),
        ("invalid codes", behind(good().bits(0b100, 3).bits(0, 5).bits(0, 5).bits(0, 4).bits(0, 12))),
        ("no end", Stream::new().stored(false, GOOD.as_bytes()).cut_here()),
        ("an end inside a block", inside_good().cut_here()),
        ("an end inside a stored block", stored(400, !400)),
    ]
}

#[test]
fn valid_data_before_a_broken_stream_is_delivered_first() {
    for (why, message) in broken() {
        for opcode in [TEXT, BINARY] {
            let good = match why {
                "an end inside a stored block" => [GOOD.as_bytes(), &[1, 2, 3, 4]].concat(),
                _ => GOOD.into(),
            };
            assert_same_for_every_cut(why, LIMIT, opcode, &message, &good, ProtocolError::DeflateInvalid);
        }
    }
}

#[test]
fn much_valid_data_before_a_broken_stream_is_delivered_first() {
    for times in [500, 2000] {
        let good = GOOD.repeat(times);
        let mut message = Zip::new(FULL).part(good.as_bytes(), zlib_rs::DeflateFlush::SyncFlush);
        message.extend([0b110, 1, 2, 3]);
        let want = ProtocolError::DeflateInvalid;
        assert_same_for_every_cut("much", LIMIT, TEXT, &message, good.as_bytes(), want);
    }
}

#[test]
fn invalid_text_fails_where_it_occurs_despite_later_faults() {
    for bad in ["good \u{e9}t".as_bytes()[..6].to_vec(), b"good \xff".to_vec(), b"good \xed\xa0\x80".to_vec()]
    {
        let tokens: Vec<_> = bad.iter().map(|byte| Token::Byte(*byte)).collect();
        let begun = Stream::new().fixed(false, &tokens);
        let is_half = bad.ends_with(b"\xc3");
        let not_utf8 = ProtocolError::TextNotUtf8;
        for (why, message, want) in [
            ("valid text after it", begun.clone().text(false, " more").message(), not_utf8),
            ("the end", begun.clone().message(), not_utf8),
            (
                "a broken stream",
                begun.clone().bits(0b110, 3).cut_here(),
                if is_half { ProtocolError::DeflateInvalid } else { not_utf8 },
            ),
            (
                "no end",
                begun.clone().stored(false, b"").cut_here(),
                if is_half { ProtocolError::DeflateInvalid } else { not_utf8 },
            ),
        ] {
            assert_same_for_every_cut(why, LIMIT, TEXT, &message, b"good ", want);
        }
    }
}

#[test]
fn an_excess_byte_fails_where_it_occurs_despite_later_faults() {
    let limit = GOOD.len() as u64;
    let too_big = ProtocolError::MessageTooBig { limit };
    let invalid = ProtocolError::DeflateInvalid;
    let byte = |byte| good().fixed(false, &[Token::Byte(byte)]);
    for (why, message, want) in [
        ("a byte over it", byte(b'.').message(), too_big),
        ("a byte over it, and broken", byte(b'.').bits(0b110, 3).cut_here(), too_big),
        ("a byte over it that is not text", byte(0xff).message(), too_big),
        ("a match beyond it", good().fixed(false, &[Token::Match(9, 3)]).message(), too_big),
        (
            "a match beyond it, and broken",
            good().fixed(false, &[Token::Match(9, 3)]).bits(0b110, 3).cut_here(),
            too_big,
        ),
        ("exactly at it, and broken", good().bits(0b110, 3).cut_here(), invalid),
        ("exactly at it, and an invalid distance", inside_good().symbol(257).code(30, 5).cut_here(), invalid),
        ("exactly at it, and no end", good().stored(false, b"").cut_here(), invalid),
    ] {
        assert_same_for_every_cut(why, limit, TEXT, &message, GOOD.as_bytes(), want);
    }
}
