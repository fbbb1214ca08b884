//! Compressed messages delivered in chunks.

use super::bits::Stream;
use std::time::Duration;
use ws_kit::deflate::*;
use ws_kit::frames::*;
use ws_proto::{Config, Connection, Delivery, Event, Frame, Moment, Opcode, ProtocolError, Role, State};

const SECOND: Duration = Duration::from_secs(1);
/// More than any chunk.
const LARGEST: usize = 8 * 1024;

fn chunked(whole: u64) -> Config {
    config(deflate()).delivery(Delivery::Chunked { whole })
}

/// All chunks of the next message: its data, once it is whole.
#[derive(Default)]
struct Joined {
    data: Vec<u8>,
    fragments: usize,
    is_whole: bool,
}

impl Joined {
    fn add(&mut self, event: &Event<'_>) {
        let Event::Fragment(fragment) = event else { panic!("{event:?}") };
        assert!(!self.is_whole && fragment.first == (self.fragments == 0), "{} pieces", self.fragments);
        assert!(fragment.data.as_bytes().len() <= LARGEST);
        self.data.extend(fragment.data.as_bytes());
        self.fragments += 1;
        self.is_whole = fragment.last;
    }
}

/// Passes bytes as an adapter does, which calls again only while input is left, and polls for events in between.
fn give(connection: &mut Connection, now: Moment, bytes: &[u8], mut delivered: impl FnMut(Event<'_>)) {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    while !input.is_empty() {
        let before = input.len();
        let event = connection.handle_input(now, &mut input).or_else(|| connection.poll_event(now));
        assert!(event.is_some() || input.len() < before, "it takes no input and emits nothing");
        event.into_iter().for_each(&mut delivered);
    }
    while let Some(event) = connection.poll_event(now) {
        delivered(event);
    }
}

#[test]
fn chunks_are_small_and_add_up_to_the_message() {
    let text = "text that is compressed, 水, and sent along in parts; ".repeat(2000);
    let half = [noise(1, 50_000), vec![0; 50_000]].concat();
    for role in ROLES {
        for (opcode, data) in
            [(TEXT, text.as_bytes()), (BINARY, &half), (BINARY, &[0; 1 << 20]), (BINARY, b""), (TEXT, b"x")]
        {
            let mut zip = Zip::new(FULL);
            let message = zip.message(data);
            let again = zip.message(data);
            let (a, b) = (message.len() / 3, message.len() / 2);
            for parts in
                [vec![&message[..]], vec![b"", &message[..a], b"", &message[a..b], &message[b..], b""]]
            {
                let wire = in_frames(role, RSV1 | opcode, &parts);
                for read in [1, 7, 1000, usize::MAX] {
                    let (mut connection, now) = open_by(role, chunked(0), FULL, FULL);
                    let mut joined = Joined::default();
                    for read in wire.chunks(read) {
                        give(&mut connection, now, read, |event| joined.add(&event));
                    }
                    assert!(
                        joined.is_whole && joined.data == data,
                        "{} of {}",
                        joined.data.len(),
                        data.len()
                    );
                    // The next message refers to it, and is delivered from its start.
                    let mut joined = Joined::default();
                    give(&mut connection, now, &compressed(role, opcode, &again), |event| joined.add(&event));
                    assert!(joined.is_whole && joined.data == data);
                }
            }
        }
    }
}

#[test]
fn input_is_consumed_only_when_its_output_is_delivered() {
    // A few bytes that inflate to many, from one read.
    let bomb = zeros(1);
    let (mut server, now) = open_by(Role::Server, chunked(0), FULL, FULL);
    let mut wire = compressed(Role::Server, BINARY, &bomb);
    let mut input = &mut wire[..];
    let mut joined = Joined::default();
    while !input.is_empty() {
        joined.add(&server.handle_input(now, &mut input).unwrap());
    }
    assert!(joined.is_whole && joined.data == [0; 1 << 20]);
    assert!(server.handle_input(now, &mut input).is_none() && server.poll_event(now).is_none());
    assert!(!server.is_receiving_message());
}

#[test]
fn a_paused_connection_delivers_and_loses_no_chunk() {
    let data = [noise(1, 20_000), vec![0; 200_000], noise(2, 20_000)].concat();
    let mut wire = compressed(Role::Server, BINARY, &Zip::new(FULL).message(&data));
    // The application's answers exceed what the peer reads.
    let (mut server, now) = open_by(Role::Server, chunked(0).outbox(10, 100, 200), FULL, FULL);
    let mut input = &mut wire[..];
    let (mut joined, mut pauses) = (Joined::default(), 0);
    while !input.is_empty() {
        joined.add(&server.handle_input(now, &mut input).unwrap());
        if joined.fragments % 3 == 1 {
            server.send(Frame::binary(noise(3, 200)).without_compression()).unwrap();
            assert!(server.handle_input(now, &mut input).is_none() && server.poll_event(now).is_none());
            assert!(server.is_paused() || joined.is_whole);
            assert!(!input.is_empty() || joined.is_whole, "undelivered input stays with the caller");
            take_output(&mut server, now);
            assert!(matches!(server.poll_event(now), Some(Event::Drained)));
            pauses += 1;
        }
    }
    assert!(joined.is_whole && joined.data == data && pauses > 5);
}

#[test]
fn chunks_respect_the_inflate_rate_each_second() {
    let config = config(deflate().inflate_rate(Some(20_000))).delivery(Delivery::Chunked { whole: 0 });
    let (mut server, birth) = open_by(Role::Server, config, FULL, FULL);
    let data = [noise(1, 50_000), vec![0; 50_000]].concat();
    let mut wire = compressed(Role::Server, BINARY, &Zip::new(FULL).message(&data));
    let mut input = &mut wire[..];
    let (mut joined, mut seconds) = (Joined::default(), 0);
    while !joined.is_whole {
        let now = birth + seconds * SECOND;
        let before = joined.data.len();
        while let Some(event) = server.handle_input(now, &mut input).or_else(|| server.poll_event(now)) {
            joined.add(&event);
        }
        let delivered = joined.data.len() - before;
        assert_eq!(server.is_paused(), delivered > 20_000, "{delivered} in second {seconds}");
        assert!(delivered <= 20_000 + LARGEST, "{delivered} in second {seconds}");
        seconds += 1;
        assert!(!server.is_paused() || server.poll_timeout() == Some(birth + seconds * SECOND));
        server.handle_timeout(birth + seconds * SECOND);
    }
    assert!(joined.data == data && (4..=5).contains(&seconds), "{seconds}");
}

#[test]
fn control_frames_are_delivered_in_order() {
    let (mut server, now) = open_by(Role::Server, chunked(0), FULL, FULL);
    let parts = Zip::new(FULL).fragments(&[&[b'a'; 20_000], &[b'b'; 20_000]]);
    let mut wire = frame(true, RSV1 | TEXT, &parts[0]);
    wire.extend(frame(true, FIN | PING, b"between"));
    wire.extend(frame(true, FIN | CONTINUATION, &parts[1]));
    let mut input = &mut wire[..];
    let mut joined = Joined::default();
    while joined.data.len() < 40_000 {
        joined.add(&server.handle_input(now, &mut input).unwrap());
        let has_answered = !take_output(&mut server, now).is_empty();
        assert_eq!(has_answered, joined.data.len() > 20_000 && joined.data.len() <= 20_000 + LARGEST);
    }
    assert!(joined.is_whole);
}

#[test]
fn a_short_frame_that_is_a_message_stays_whole() {
    let (mut server, now) = open_by(Role::Server, chunked(100), FULL, FULL);
    let mut zip = Zip::new(FULL);
    let small = compressed(Role::Server, BINARY, &zip.message(&[0; 60_000]));
    assert!(small.len() < 100, "its compressed length counts");
    assert!(messages(&feed(&mut server, now, &small)) == [[0; 60_000]]);
    let fragments = in_frames(Role::Server, RSV1 | BINARY, &zip.fragments(&[b"in", b"two"]));
    let events = feed(&mut server, now, &fragments);
    assert!(
        matches!(&events[..], [Event::Fragment(a), Event::Fragment(b)] if a.first && b.last),
        "{events:?}"
    );
}

#[test]
fn valid_chunks_of_a_broken_message_are_delivered_before_it_fails() {
    let good = noise(1, 3 * LARGEST);
    let stored = || Stream::new().stored(false, &good);
    let bad_text = [b"good text, ".repeat(2000), vec![0xff]].concat();
    let cases: [(&str, u8, Vec<u8>, ProtocolError); 5] = [
        ("a kind of block", BINARY, stored().bits(0b110, 3).message(), ProtocolError::DeflateInvalid),
        ("no end", BINARY, stored().cut_here(), ProtocolError::DeflateInvalid),
        ("cut off", BINARY, Zip::new(FULL).message(&good)[..LARGEST].to_vec(), ProtocolError::DeflateInvalid),
        ("not UTF-8", TEXT, Zip::new(FULL).message(&bad_text), ProtocolError::TextNotUtf8),
        (
            "half a character",
            TEXT,
            Zip::new(FULL).message("good 水".as_bytes().split_last().unwrap().1),
            ProtocolError::TextNotUtf8,
        ),
    ];
    for (name, opcode, message, want) in cases {
        for parts in [vec![&message[..]], message.chunks(1).collect()] {
            let (mut server, now) = open_by(Role::Server, chunked(0), FULL, FULL);
            let wire = in_frames(Role::Server, RSV1 | opcode, &parts);
            let mut joined = Joined::default();
            give(&mut server, now, &wire, |event| joined.add(&event));
            assert_eq!(server.state(), State::Closing, "{name}: no further input is needed");
            assert!(!joined.is_whole);
            let is_good = match opcode {
                TEXT => joined.data.starts_with(b"good ") && !joined.data.contains(&0xff),
                _ => good.starts_with(&joined.data) && joined.data.len() > LARGEST / 2,
            };
            assert!(is_good, "{name}: {} were delivered", joined.data.len());
            assert_eq!(fault(&end(&mut server, now)), Some(want), "{name}");
        }
    }
}

#[test]
fn plain_text_in_chunks_fails_immediately_too() {
    for bad in [&b"good \xff"[..], "good 水".as_bytes().split_last().unwrap().1] {
        let (mut server, now) = open(Role::Server, Config::server().delivery(Delivery::Chunked { whole: 0 }));
        let mut joined = Joined::default();
        give(&mut server, now, &frame(true, FIN | TEXT, bad), |event| joined.add(&event));
        assert_eq!((&joined.data[..], joined.is_whole), (&b"good "[..], false));
        assert_eq!(close_code(&take_output(&mut server, now)), Some(1007));
    }
}

#[test]
fn two_ends_stream_to_each_other() {
    let (mut client, now) = open_by(CLIENT, chunked(0), FULL, ALONE);
    let (mut server, _) = open_by(Role::Server, chunked(0), ALONE, FULL);
    for n in 0..20 {
        let parts = [noise(n % 3, 3000), vec![n as u8; 30_000], noise(n, 500)];
        let mut joined = Joined::default();
        for (at, part) in parts.iter().enumerate() {
            let opcode = if at == 0 { Opcode::Binary } else { Opcode::Continuation };
            client.send(Frame::raw(opcode, at == 2, part.clone()).unwrap()).unwrap();
            give(&mut server, now, &take_output(&mut client, now), |event| joined.add(&event));
            assert!(joined.data == parts[..=at].concat(), "a fragment is delivered on arrival");
        }
        assert!(joined.is_whole);
        let mut joined = Joined::default();
        server.send(parts.concat()).unwrap();
        give(&mut client, now, &take_output(&mut server, now), |event| joined.add(&event));
        assert!(joined.is_whole && joined.data == parts.concat());
    }
}
