//! Messages: the same events for every cut of the same bytes, incremental UTF-8 checks, chunks, limits.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::Arc;
use ws_kit::frames::*;
use ws_proto::{Config, Connection, Delivery, Error, Event, Message, Moment, ProtocolError, Role, State};

/// The events of a connection, in a form that does not depend on how its input was cut.
#[derive(Clone, Debug, PartialEq)]
enum Observed {
    Message(Message<'static>),
    /// All chunks of one message: whether they are text, whether the last has arrived, the data.
    Delivery(bool, bool, Vec<u8>),
    Other(String),
}

fn record(observed: &mut Vec<Observed>, event: Event<'_>) {
    match event.into_owned() {
        Event::Message(message) => observed.push(Observed::Message(message)),
        Event::Fragment(fragment) => {
            let (text, data) = (fragment.data.is_text(), fragment.data.as_bytes());
            if fragment.first {
                observed.push(Observed::Delivery(text, fragment.last, data.to_vec()));
                return;
            }
            let Some(Observed::Delivery(is_text, last, joined)) = observed.last_mut() else {
                panic!("{observed:?}, then a later fragment")
            };
            assert!(*is_text == text && !*last, "{observed:?} continues");
            joined.extend(data);
            *last = fragment.last;
        }
        Event::Closed(closed) => {
            observed.push(Observed::Other(format!(
                "{} {:?} {:?} {:?}",
                closed.code, closed.reason, closed.error, closed.sent
            )));
        }
        other => observed.push(Observed::Other(format!("{other:?}"))),
    }
}

/// All events and output of a connection given these reads.
fn run(role: Role, config: &Arc<Config>, parts: &[&[u8]]) -> (Vec<Observed>, Vec<u8>) {
    let now = Moment::default();
    let mut connection = Connection::upgraded(now, config.clone(), role);
    let (mut observed, mut output) = (Vec::new(), Vec::new());
    for part in parts {
        let mut part = part.to_vec();
        let mut input = &mut part[..];
        while let Some(event) = connection.handle_input(now, &mut input) {
            record(&mut observed, event);
        }
        assert!(input.is_empty());
        output.extend(take_output(&mut connection, now));
    }
    for event in end(&mut connection, now) {
        record(&mut observed, event);
    }
    (observed, output)
}

fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

/// A message in fragments, interspersed with control frames, as a peer might send it.
fn message(masked: bool) -> impl Strategy<Value = Vec<u8>> {
    let text = "\\PC{0,40}".prop_map(|text| (TEXT, text.into_bytes()));
    let long = "[a水𝄞]{100,3000}".prop_map(|text| (TEXT, text.into_bytes()));
    let binary = vec(any::<u8>(), 0..300).prop_map(|data| (BINARY, data));
    let noise = vec(any::<u8>(), 0..20).prop_map(|data| (TEXT, data));
    let payload = prop_oneof![4 => text, 1 => long, 4 => binary, 1 => noise];
    let control = prop_oneof![
        8 => Just(Vec::new()),
        1 => (prop_oneof![Just(PING), Just(PONG)], vec(any::<u8>(), 0..=125))
            .prop_map(move |(opcode, data)| frame(masked, FIN | opcode, &data)),
        1 => (900u16..5100, "\\PC{0,10}").prop_map(move |(code, reason)| {
            let mut body = code.to_be_bytes().to_vec();
            body.extend(reason.bytes());
            frame(masked, FIN | CLOSE, &body)
        }),
    ];
    (payload, vec(any::<Index>(), 0..4), vec(control, 5)).prop_map(move |((kind, data), cuts, controls)| {
        let parts = cut(&data, &cuts);
        let mut out = Vec::new();
        for (n, part) in parts.iter().enumerate() {
            let opcode = if n == 0 { kind } else { CONTINUATION };
            let fin = if n + 1 == parts.len() { FIN } else { 0 };
            out.extend(frame(masked, fin | opcode, part));
            out.extend(&controls[n]);
        }
        out
    })
}

fn stream(masked: bool) -> impl Strategy<Value = Vec<u8>> {
    let mutated = vec((any::<Index>(), any::<u8>()), 0..3);
    let good = vec(message(masked), 0..6).prop_map(|messages| messages.concat()).boxed();
    prop_oneof![
        6 => good.clone(),
        3 => (good, mutated).prop_map(|(mut bytes, changes)| {
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes
        }),
        1 => vec(any::<u8>(), 0..100),
    ]
}

fn deliveries() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        Just(Delivery::Whole),
        prop_oneof![Just(0), Just(10), Just(1000), Just(u64::MAX)]
            .prop_map(|whole| Delivery::Chunked { whole })
    ]
}

proptest! {
    #[test]
    fn every_cut_of_the_same_bytes_gives_the_same_events(
        (server, bytes) in any::<bool>().prop_flat_map(|server| (Just(server), stream(server))),
        cuts in vec(any::<Index>(), 0..8),
        deliveries in deliveries(),
        limit in prop_oneof![Just(50u64), Just(2000), Just(16 << 20)],
    ) {
        let role = if server { Role::Server } else { CLIENT };
        let config = Arc::new(Config::server().message_limit(limit).delivery(deliveries));
        let whole = run(role, &config, &[&bytes]);
        prop_assert_eq!(&run(role, &config, &cut(&bytes, &cuts)), &whole);
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&run(role, &config, &bytewise), &whole);
    }

    #[test]
    fn whole_or_chunked_delivery_has_the_same_content(bytes in vec(message(true), 1..5).prop_map(|m| m.concat())) {
        let content = |deliveries| -> Vec<Vec<u8>> {
            let (observed, _) = run(Role::Server, &Arc::new(Config::server().delivery(deliveries)), &[&bytes]);
            let whole = |observed| match observed {
                Observed::Message(message) => Some(message.as_bytes().to_vec()),
                Observed::Delivery(_, true, data) => Some(data),
                _ => None,
            };
            observed.into_iter().filter_map(whole).collect()
        };
        prop_assert_eq!(content(Delivery::Chunked { whole: 10 }), content(Delivery::Whole));
    }
}

#[test]
fn text_fails_at_the_first_invalid_byte() {
    // The bytes, and after how many of them no continuation is valid.
    let cases: [(&[u8], usize); 6] = [
        (b"ok\xff", 3),
        (b"\xc0\x80", 1),
        (b"\xed\xa0\x80", 2),
        (b"\xf4\x90\x80\x80", 2),
        (b"\xe6\xb0a", 3),
        (b"\xf5", 1),
    ];
    for (text, fails_at) in cases {
        for fragments in [false, true] {
            let (mut server, now) = open(Role::Server, Config::server());
            if !fragments {
                feed(&mut server, now, &header(true, FIN | TEXT, 100));
            }
            let key = [0x37, 0xfa, 0x21, 0x3d];
            let mut fed = 0;
            while server.state() == State::Open {
                if fragments {
                    let opcode = if fed == 0 { TEXT } else { CONTINUATION };
                    feed(&mut server, now, &frame(true, opcode, &text[fed..=fed]));
                } else {
                    feed(&mut server, now, &[text[fed] ^ key[fed % 4]]);
                }
                fed += 1;
            }
            assert_eq!(fed, fails_at, "{text:x?}");
            assert_eq!(close_code(&take_output(&mut server, now)), Some(1007));
        }
    }
}

#[test]
fn chunked_delivery_emits_valid_text_before_a_bad_byte() {
    let config = Arc::new(Config::server().delivery(Delivery::Chunked { whole: 0 }));
    let (observed, _) =
        run(Role::Server, &config, &[&frame(true, FIN | TEXT, "水a\u{7ff}\u{fe}".as_bytes())]);
    assert_eq!(observed[0], Observed::Delivery(true, true, "水a\u{7ff}\u{fe}".as_bytes().to_vec()));
    let (observed, _) = run(Role::Server, &config, &[&frame(true, FIN | TEXT, b"good\xe6\xb0\xb4\xff")]);
    assert_eq!(observed[0], Observed::Delivery(true, false, "good水".as_bytes().to_vec()));
}

#[test]
fn chunked_delivery_emits_a_small_frame_as_a_message() {
    let (mut server, now) = open(Role::Server, Config::server().delivery(Delivery::Chunked { whole: 1000 }));
    let small = frame(true, FIN | BINARY, &[1; 1000]);
    let (a, b) = small.split_at(500);
    assert!(feed(&mut server, now, a).is_empty());
    assert!(matches!(&feed(&mut server, now, b)[..], [Event::Message(_)]));
    let huge = frame(true, FIN | BINARY, &[1; 1001]);
    let (a, b) = huge.split_at(500);
    assert!(
        matches!(&feed(&mut server, now, a)[..], [Event::Fragment(fragment)] if fragment.first && !fragment.last)
    );
    assert!(
        matches!(&feed(&mut server, now, b)[..], [Event::Fragment(fragment)] if !fragment.first && fragment.last)
    );
}

#[test]
fn a_message_that_is_whole_in_the_input_is_borrowed() {
    let (mut server, now) = open(Role::Server, Config::server());
    for len in [1usize, 125, 126, 65535, 65536, 200_000] {
        let mut bytes = frame(true, FIN | BINARY, &vec![9; len]);
        let range = bytes.as_ptr_range();
        let mut input = &mut bytes[..];
        let Some(Event::Message(message)) = server.handle_input(now, &mut input) else {
            panic!("no message")
        };
        assert!(range.contains(&message.as_bytes().as_ptr()), "{len} bytes were copied");
    }
}

#[test]
fn the_limit_applies_to_all_fragments_of_a_message_together() {
    for (parts, good) in
        [(vec![100], true), (vec![101], false), (vec![60, 40], true), (vec![60, 0, 41], false)]
    {
        let (mut server, now) = open(Role::Server, Config::server().message_limit(100));
        for (n, len) in parts.iter().enumerate() {
            let opcode = if n == 0 { BINARY } else { CONTINUATION };
            let fin = if n + 1 == parts.len() { FIN } else { 0 };
            feed(&mut server, now, &frame(true, fin | opcode, &vec![0; *len]));
        }
        assert_eq!(close_code(&take_output(&mut server, now)), (!good).then_some(1009), "{parts:?}");
        if !good {
            let Some(Event::Closed(closed)) = end(&mut server, now).pop() else { panic!("no end") };
            assert!(matches!(
                closed.error,
                Some(Error::Protocol(ProtocolError::MessageTooBig { limit: 100 }))
            ));
        }
    }
}

#[test]
fn text_in_many_tiny_fragments_is_joined() {
    let (mut server, now) = open(Role::Server, Config::server().frame_rate(None));
    let text = "水滴石穿".repeat(2000);
    for (n, byte) in text.bytes().enumerate() {
        let opcode = if n == 0 { TEXT } else { CONTINUATION };
        assert!(feed(&mut server, now, &frame(true, opcode, &[byte])).is_empty());
    }
    let events = feed(&mut server, now, &frame(true, FIN | CONTINUATION, b""));
    assert!(matches!(&events[..], [Event::Message(Message::Text(joined))] if *joined == text));
}
