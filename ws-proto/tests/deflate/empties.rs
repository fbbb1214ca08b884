//! Empty compressed messages, and empty frames of compressed messages with content.

use super::bits::Stream;
use std::time::Duration;
use ws_kit::deflate::*;
use ws_kit::frames::*;
use ws_proto::{Delivery, Event, ProtocolError, Role};

const SECOND: Duration = Duration::from_secs(1);
/// The default.
const RATE: usize = 1000;

fn open_both_ways(role: Role) -> [(ws_proto::Connection, ws_proto::Moment); 2] {
    [Delivery::Whole, Delivery::Chunked { whole: 0 }]
        .map(|delivery| open_by(role, config(deflate()).delivery(delivery), FULL, FULL))
}

#[test]
fn a_compressed_message_is_empty_if_it_inflates_to_nothing() {
    let blocks = Stream::new().stored(false, b"").fixed(false, &[]).message();
    for role in ROLES {
        for once in [
            compressed(role, TEXT, b"\0"),
            compressed(role, TEXT, &blocks),
            in_frames(role, RSV1 | TEXT, &[&b""[..], b"\0"]),
            in_frames(role, RSV1 | TEXT, &[&b"\0\0\0\xff\xff"[..], b"\0"]),
        ] {
            for (mut connection, now) in open_both_ways(role) {
                assert_eq!(feed(&mut connection, now, &once.repeat(RATE)).len(), RATE);
                assert!(!connection.is_paused());
                assert!(feed(&mut connection, now, &once).is_empty() && connection.is_paused());
                let next = connection.poll_timeout().unwrap();
                assert_eq!(next, now + SECOND);
                connection.handle_timeout(next);
                let events = poll(&mut connection, next);
                let [Event::Message(data)] = &events[..] else {
                    let [Event::Fragment(fragment)] = &events[..] else { panic!("{events:?}") };
                    assert!(fragment.first && fragment.last && fragment.data.as_bytes().is_empty());
                    continue;
                };
                assert!(data.is_text() && data.as_bytes().is_empty());
            }
        }
    }
}

#[test]
fn in_a_compressed_message_with_content_the_first_and_the_last_frame_are_free() {
    let mut zip = Zip::new(ALONE);
    let (message, parts) = (zip.message(b"tick"), zip.fragments(&[b"tick", b""]));
    for role in ROLES {
        for parts in [
            vec![b"", &message[..]],
            vec![&message[..], b""],
            vec![b"", &message[..], b""],
            vec![&parts[0], &parts[1]],
        ] {
            for (mut connection, now) in open_both_ways(role) {
                let wire = in_frames(role, RSV1 | TEXT, &parts);
                assert!(feed(&mut connection, now, &wire.repeat(2 * RATE)).len() >= 2 * RATE);
                assert!(!connection.is_paused());
            }
        }
    }
}

#[test]
fn the_empty_frames_between_count() {
    for role in ROLES {
        for (mut connection, now) in open_both_ways(role) {
            feed(&mut connection, now, &frame_to(role, RSV1 | TEXT, b""));
            feed(&mut connection, now, &frame_to(role, CONTINUATION, b"").repeat(RATE));
            assert_eq!(close_code(&take_output(&mut connection, now)), None);
            feed(&mut connection, now, &frame_to(role, CONTINUATION, b""));
            assert_eq!(fault(&end(&mut connection, now)), Some(ProtocolError::Flood { limit: 1000 }));
        }
    }
}
