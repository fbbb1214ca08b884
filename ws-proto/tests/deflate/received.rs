//! What the peer may send, and in how many frames (RFC 7692 §6, §7.2.2).

use ws_kit::deflate::*;
use ws_kit::frames::*;
use ws_proto::{Config, Event, ProtocolError};
use zlib_rs::DeflateFlush;

#[test]
fn rsv1_is_valid_only_on_the_first_frame_of_a_message() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for role in ROLES {
        let begun = frame_to(role, RSV1 | TEXT, &hello[..3]);
        let plain = frame_to(role, TEXT, b"Hel");
        for before in [&[][..], &begun, &plain] {
            for first in 0..=0xff_u8 {
                let (mut connection, now) = open_full(role);
                assert!(feed(&mut connection, now, before).is_empty());
                let events = feed(&mut connection, now, &frame_to(role, first, b""));
                let begins_message = matches!(first & 0x0f, TEXT | BINARY);
                let is_wrong = first & 0x30 != 0 || first & RSV1 != 0 && !begins_message;
                let fault = fault(&end(&mut connection, now));
                assert!(events.iter().all(|event| matches!(event, Event::Message(_))), "{events:?}");
                assert_eq!(
                    fault == Some(ProtocolError::ReservedBits),
                    is_wrong,
                    "{first:#x} after {before:x?}: {fault:?}"
                );
            }
        }
    }
}

#[test]
fn without_an_agreement_a_compressed_message_is_a_protocol_error() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for role in ROLES {
        let with_settings = open(role, config(deflate()));
        let without_settings = open_by(role, Config::server(), FULL, FULL);
        for (mut connection, now) in [with_settings, without_settings] {
            assert_eq!(connection.compression(), None);
            assert!(feed(&mut connection, now, &compressed(role, TEXT, hello)).is_empty());
            assert_eq!(close_code(&take_output(&mut connection, now)), Some(1002));
        }
    }
}

#[test]
fn plain_messages_do_not_affect_the_window() {
    let data = noise(1, 400);
    for role in ROLES {
        let (mut connection, now) = open_full(role);
        let mut zip = Zip::new(FULL);
        let mut wire = compressed(role, BINARY, &zip.message(&data));
        for n in 2..6 {
            wire.extend(frame_to(role, FIN | BINARY, &noise(n, 400)));
            wire.extend(in_frames(role, BINARY, &[&noise(n, 300)[..], b"", &noise(n, 200)]));
            let again = zip.message(&data);
            assert!(again.len() < 20, "it refers to earlier data");
            wire.extend(compressed(role, BINARY, &again));
        }
        let mut want = vec![data.clone()];
        for n in 2..6 {
            want.extend([noise(n, 400), [noise(n, 300), noise(n, 200)].concat(), data.clone()]);
        }
        assert_eq!(messages(&feed(&mut connection, now, &wire)), want);
    }
}

#[test]
fn control_frames_come_between_compressed_fragments() {
    let data = b"a message that repeats itself, a message that repeats itself".repeat(20);
    for role in ROLES {
        let (mut connection, now) = open_full(role);
        let parts = Zip::new(FULL).fragments(&data.chunks(97).collect::<Vec<_>>());
        let mut wire = Vec::new();
        for (n, part) in parts.iter().enumerate() {
            let fin = if n + 1 == parts.len() { FIN } else { 0 };
            wire.extend(frame_to(role, fin | if n == 0 { RSV1 | TEXT } else { CONTINUATION }, part));
            wire.extend(frame_to(role, FIN | PING, &[b'0' + n as u8]));
            wire.extend(frame_to(role, FIN | PONG, b"\xf2\x48\xcd"));
        }
        assert_eq!(messages(&feed(&mut connection, now, &wire)), std::slice::from_ref(&data));
        let pongs = parse(&take_output(&mut connection, now));
        assert!(pongs.iter().all(|pong| pong.first == FIN | PONG));
        let answered: Vec<u8> = pongs.iter().flat_map(|pong| pong.payload.clone()).collect();
        assert_eq!(answered, (0..parts.len() as u8).map(|n| b'0' + n).collect::<Vec<_>>());
    }
}

/// Payloads with different compressed ends: the used bits of the last byte, and whether the `00` is on its own.
fn small() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..12).map(|len| b"abcdefghijkl"[..len].to_vec()).collect();
    all.extend([vec![0; 300], noise(1, 40), "水𝄞水𝄞水".into()]);
    all
}

/// The same message twice; the second refers to the first.
fn twice(data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut zip = Zip::new(FULL);
    (zip.message(data), zip.message(data))
}

#[test]
fn a_message_is_independent_of_its_frames() {
    let mut with_a_lone_zero = 0;
    for role in ROLES {
        for data in small() {
            let (message, again) = twice(&data);
            with_a_lone_zero += usize::from(message.ends_with(&[0]));
            for b in 0..=message.len() {
                for a in 0..=b {
                    let parts = [&message[..a], &message[a..b], b"", &message[b..]];
                    let mut wire = in_frames(role, RSV1 | BINARY, &parts);
                    wire.extend(compressed(role, BINARY, &again));
                    let (mut connection, now) = open_full(role);
                    assert_eq!(
                        messages(&feed(&mut connection, now, &wire)),
                        [&data[..], &data],
                        "{parts:x?}"
                    );
                }
            }
        }
    }
    assert!(with_a_lone_zero > 0, "none ends with a byte that could be a separate fragment");
}

#[test]
fn a_message_is_independent_of_its_reads() {
    for role in ROLES {
        for data in small() {
            let (message, again) = twice(&data);
            let mut wire = in_frames(role, RSV1 | BINARY, &message.chunks(3).collect::<Vec<_>>());
            wire.extend(compressed(role, BINARY, &again));
            let mut reads: Vec<Vec<&[u8]>> = vec![wire.chunks(1).collect()];
            reads.extend((0..=wire.len()).map(|cut| vec![&wire[..cut], &wire[cut..]]));
            for reads in reads {
                let (mut connection, now) = open_full(role);
                let events: Vec<_> = reads.iter().flat_map(|read| feed(&mut connection, now, read)).collect();
                assert_eq!(messages(&events), [&data[..], &data], "{reads:x?}");
            }
        }
    }
}

#[test]
fn a_message_may_be_flushed_any_number_of_times_in_any_way() {
    let data = b"so much that there is something to flush, ".repeat(40);
    for role in ROLES {
        for flush in [
            DeflateFlush::PartialFlush,
            DeflateFlush::SyncFlush,
            DeflateFlush::FullFlush,
            DeflateFlush::Block,
        ] {
            for takeover in [true, false] {
                let theirs = direction(takeover, 15);
                let (mut connection, now) = open_by(role, config(deflate()), FULL, theirs);
                let mut zip = Zip::new(theirs);
                for step in [1, 2, 3, 50, 700] {
                    let mut message: Vec<u8> =
                        data.chunks(step).flat_map(|part| zip.part(part, flush)).collect();
                    message.extend(zip.message(b"the end"));
                    let want = [&data[..], b"the end"].concat();
                    let got = feed(&mut connection, now, &compressed(role, BINARY, &message));
                    assert_eq!(messages(&got), [want], "{flush:?} {step}");
                }
            }
        }
    }
}

#[test]
fn every_window_and_level_of_the_peer_is_inflated_with_and_without_takeover() {
    for role in ROLES {
        for bits in 9..=15 {
            for takeover in [true, false] {
                for level in [1, 4, 6, 9] {
                    let theirs = direction(takeover, bits);
                    let (mut connection, now) = open_by(role, config(deflate()), FULL, theirs);
                    let mut zip = Zip::with_level(theirs, level);
                    for n in 0..12 {
                        // Part of it repeats recent data, part repeats data from as far back as the window reaches.
                        let data =
                            [noise(n % 3, 200), noise(0, (1 << bits) - 400), noise(n % 3, 150)].concat();
                        let data = &data[..data.len() * (n as usize % 4) / 3];
                        let wire = compressed(role, BINARY, &zip.message(data));
                        assert_eq!(messages(&feed(&mut connection, now, &wire)), [data], "{bits} {n}");
                    }
                }
            }
        }
    }
}

#[test]
fn data_before_the_peers_close_is_inflated_after_ours() {
    let data = noise(3, 500);
    for role in ROLES {
        let (mut connection, now) = open_full(role);
        let mut zip = Zip::new(FULL);
        let mut got = feed(&mut connection, now, &compressed(role, BINARY, &zip.message(&data)));
        let begun = zip.message(&data);
        got.extend(feed(&mut connection, now, &frame_to(role, RSV1 | BINARY, &begun[..2])));
        connection.close(now, ws_proto::CloseCode::NORMAL, "").unwrap();
        got.extend(feed(&mut connection, now, &frame_to(role, FIN | CONTINUATION, &begun[2..])));
        got.extend(feed(&mut connection, now, &compressed(role, BINARY, &zip.message(&data))));
        assert_eq!(messages(&got), [&data[..], &data, &data]);
        assert!(feed(&mut connection, now, &frame_to(role, FIN | CLOSE, b"\x03\xe8")).is_empty());
        let after = compressed(role, BINARY, &zip.message(&data));
        assert!(feed(&mut connection, now, &after).is_empty(), "nothing is delivered after the peer's Close");
        assert!(matches!(&end(&mut connection, now)[..], [Event::Closed(closed)] if closed.clean));
    }
}
