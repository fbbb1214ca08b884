//! Relaying from one connection to another: messages, chunks, and the end.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::time::Duration;
use ws_kit::frames::*;
use ws_kit::pair::Pair;
use ws_proto::{
    CloseCode, Closed, Config, Connection, Delivery, Error, Event, Fragment, Frame, Heartbeat, Message,
    Moment, Opcode, Role, SendError, Sent,
};

fn no_heartbeat() -> Config {
    Config::server().heartbeat(Heartbeat::off())
}

fn chunked() -> Config {
    no_heartbeat().delivery(Delivery::Chunked { whole: 10 })
}

fn fragment(text: &str, first: bool, last: bool) -> Fragment<'_> {
    Fragment { data: Message::Text(text.into()), first, last }
}

/// Gives bytes to one connection, and relays its events to the other.
fn relay(from: &mut Connection, to: &mut Connection, now: Moment, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    let mut input = &mut bytes[..];
    while let Some(event) = from.handle_input(now, &mut input) {
        match event {
            Event::Message(message) => to.relay(message).unwrap(),
            Event::Fragment(fragment) => to.relay(fragment).unwrap(),
            other => panic!("{other:?}"),
        };
    }
}

#[test]
fn messages_and_fragments_are_relayed_in_order_for_every_cut() {
    let texts = ["", "short", "ten bytes!", "longer than ten bytes: ä, €, 🦀", "last"];
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend(frame(true, FIN | TEXT, text.as_bytes()));
        bytes.extend(frame(true, FIN | BINARY, text.as_bytes()));
        let (one, other) = text.as_bytes().split_at(text.len() / 2);
        bytes.extend(frame(true, TEXT, one));
        bytes.extend(frame(true, CONTINUATION, b""));
        bytes.extend(frame(true, FIN | CONTINUATION, other));
    }
    for to_role in [Role::Server, CLIENT] {
        for config in [no_heartbeat(), chunked()] {
            for cut in 1..bytes.len() {
                let (mut from, now) = open(Role::Server, config.clone());
                let (mut to, _) = open(to_role, no_heartbeat());
                relay(&mut from, &mut to, now, &bytes[..cut]);
                relay(&mut from, &mut to, now, &bytes[cut..]);
                let mut messages: Vec<(u8, Vec<u8>)> = Vec::new();
                let mut is_inside = false;
                for frame in parse(&take_output(&mut to, now)) {
                    assert_eq!(frame.first & 15 == CONTINUATION, is_inside);
                    is_inside = frame.first & FIN == 0;
                    match frame.first & 15 {
                        CONTINUATION => messages.last_mut().unwrap().1.extend(frame.payload),
                        opcode => messages.push((opcode, frame.payload)),
                    }
                }
                let expected = texts
                    .iter()
                    .flat_map(|text| [TEXT, BINARY, TEXT].map(|opcode| (opcode, text.as_bytes().to_vec())));
                assert!(!is_inside && messages.into_iter().eq(expected), "cut at {cut}");
            }
        }
    }
}

#[test]
fn relayed_data_ignores_the_cap_and_reports_congestion() {
    for owned in [true, false] {
        let (mut server, now) = open(Role::Server, no_heartbeat().outbox(100, 200, 300));
        let data = vec![7; 90];
        let message = || match owned {
            true => Message::Binary(data.clone().into()),
            false => Message::Binary((&data[..]).into()),
        };
        assert_eq!(server.relay(message()), Ok(Sent::Queued));
        assert_eq!(server.relay(message()), Ok(Sent::Queued));
        for _ in 0..100 {
            assert_eq!(server.relay(message()), Ok(Sent::Congested));
        }
        assert_eq!(server.send(&data[..]), Err(SendError::Full));
        assert_eq!(parse(&take_output(&mut server, now)).len(), 102);
        assert!(matches!(poll(&mut server, now)[..], [Event::Drained]));
    }
    let (mut server, now) = open(Role::Server, no_heartbeat().outbox(100, 200, 300));
    for k in 0..100 {
        server.relay(fragment("0123456789", k == 0, k == 99)).unwrap();
    }
    assert_eq!(parse(&take_output(&mut server, now)).len(), 100);
    assert!(matches!(poll(&mut server, now)[..], [Event::Drained]));
}

#[test]
fn whole_messages_wait_behind_an_unfinished_relayed_one() {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    server.relay(fragment("a", true, false)).unwrap();
    server.send("own").unwrap();
    server.relay(Message::Text("relayed".into())).unwrap();
    server.send(Frame::ping("").unwrap()).unwrap();
    server.relay(fragment("b", false, true)).unwrap();
    let frames = parse(&take_output(&mut server, now));
    let payloads: Vec<&[u8]> = frames.iter().map(|frame| &frame.payload[..]).collect();
    assert_eq!(payloads, [&b""[..], b"a", b"b", b"own", b"relayed"]);
    assert!(format!("{server:?}").contains("in_flight: None"), "{server:?}");
}

#[test]
fn the_queue_behind_a_message_that_never_ends_is_bounded() {
    // Its beginning was relayed from a connection that has ended, or sent by the application.
    for relayed in [true, false] {
        let (mut to, now) = open(Role::Server, no_heartbeat().outbox(1000, 4000, 1 << 20));
        match relayed {
            true => to.relay(fragment("begun", true, false)).unwrap(),
            false => to.send(Frame::raw(Opcode::Text, false, "begun").unwrap()).unwrap(),
        };
        take_output(&mut to, now);
        let relay = |to: &mut Connection| to.relay(Message::Binary(vec![0; 1000].into()));
        for _ in 0..4 {
            assert_eq!(relay(&mut to), Ok(Sent::Queued));
        }
        let queued = to.queued();
        assert_eq!(relay(&mut to), Err(SendError::FragmentOrder));
        assert_eq!(to.queued(), queued);
        to.send(Frame::raw(Opcode::Continuation, true, "").unwrap()).unwrap();
        assert_eq!(relay(&mut to), Ok(Sent::Congested), "it can still be finished");
        assert_eq!(parse(&take_output(&mut to, now)).len(), 6);
    }
}

#[test]
fn fragments_out_of_order_are_rejected_and_nothing_is_queued() {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    for last in [false, true] {
        assert_eq!(server.relay(fragment("b", false, last)), Err(SendError::FragmentOrder));
    }
    server.relay(fragment("a", true, false)).unwrap();
    let queued = server.queued();
    assert_eq!(server.relay(fragment("a", true, false)), Err(SendError::FragmentOrder));
    assert_eq!(server.queued(), queued);
    server.relay(fragment("b", false, true)).unwrap();
    assert_eq!(parse(&take_output(&mut server, now)).len(), 2);
}

#[test]
fn a_closing_connection_relays_nothing() {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    server.close(now, CloseCode::NORMAL, "").unwrap();
    assert_eq!(server.relay(Message::Text("x".into())), Err(SendError::NotOpen));
    assert_eq!(server.relay(fragment("x", true, false)), Err(SendError::NotOpen));
}

#[cfg(feature = "deflate")]
#[test]
fn each_leg_has_its_own_compression() {
    let deflate = || ws_proto::Deflate::default();
    let text = "the same again and again ".repeat(400);
    for (one, other) in [(true, false), (false, true), (true, true)] {
        for delivery in [Delivery::Whole, Delivery::Chunked { whole: 10 }] {
            let leg = |compressed: bool| {
                let rules = |config: Config| if compressed { config.deflate(deflate()) } else { config };
                Pair::open_with(
                    rules(Config::client().delivery(delivery)),
                    rules(Config::server().delivery(delivery)),
                )
            };
            let (mut near, mut far) = (leg(one), leg(other));
            // A client sends to the relay's server end; the relay's client end forwards it.
            near.client.connection.send(&text[..]).unwrap();
            near.drive();
            for event in near.server.events.drain(..) {
                match event {
                    Event::Message(message) => far.client.connection.relay(message).unwrap(),
                    Event::Fragment(fragment) => far.client.connection.relay(fragment).unwrap(),
                    other => panic!("{other:?}"),
                };
            }
            let is_compressed = far.client.connection.queued() < text.len() / 2;
            assert_eq!(is_compressed, other, "a near leg {one}");
            far.drive();
            let mut received = String::new();
            for event in &far.server.events {
                match event {
                    Event::Message(message) | Event::Fragment(Fragment { data: message, .. }) => {
                        received.push_str(core::str::from_utf8(message.as_bytes()).unwrap());
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert!(received == text);
        }
    }
}

/// The end of a connection whose peer sends a Close with this body, or vanishes.
fn closed(close: Option<&[u8]>) -> Closed {
    let (mut server, now) = open(Role::Server, no_heartbeat());
    match close {
        Some(body) => assert!(feed(&mut server, now, &frame(true, FIN | CLOSE, body)).is_empty()),
        None => server.abort(now, Error::Io(std::io::ErrorKind::ConnectionReset)),
    }
    match end(&mut server, now + Duration::from_secs(1)).pop() {
        Some(Event::Closed(closed)) => *closed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_code_and_the_reason_are_relayed() {
    let body = |code: u16, reason: &[u8]| [&code.to_be_bytes(), reason].concat();
    for to_server in [true, false] {
        for code in [1000, 1001, 1008, 1012, 3000, 4005] {
            let closed = closed(Some(&body(code, b"gone")));
            let (relayed, reason) = closed.relayed(to_server);
            assert_eq!((relayed.get(), reason), (code, "gone"));
        }
        assert_eq!(closed(Some(b"")).relayed(to_server), (CloseCode::NO_STATUS, ""));
        let lost = if to_server { 1001 } else { 1011 };
        assert_eq!(closed(None).relayed(to_server), (CloseCode::from(lost), ""));
        for unsendable in [1015, 1004, 999, 2999, 5000] {
            let mut closed = closed(None);
            (closed.code, closed.reason) = (CloseCode::from(unsendable), "secret".into());
            assert_eq!(closed.relayed(to_server), (CloseCode::from(lost), ""), "{unsendable}");
        }
    }
}

#[test]
fn every_relayed_close_can_be_sent() {
    for code in (0..=u16::MAX).step_by(7).chain(999..1020) {
        for to_server in [true, false] {
            let mut closed = closed(None);
            (closed.code, closed.reason) = (CloseCode::from(code), "r".repeat(123));
            let (code, reason) = closed.relayed(to_server);
            let (mut server, now) = open(Role::Server, no_heartbeat());
            server.close(now, code, reason).unwrap();
        }
    }
}
