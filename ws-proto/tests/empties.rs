//! Empty frames and messages: which are free, which are delayed to the next second, and which fail the connection.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::sync::Arc;
use std::time::Duration;
use ws_kit::frames::*;
use ws_proto::{
    CloseCode, Config, Connection, Delivery, Event, Fragment, Heartbeat, IoAction, Message, Moment,
    ProtocolError, Role, State,
};

const SECOND: Duration = Duration::from_secs(1);
const ROLES: [Role; 2] = [Role::Server, CLIENT];
/// The default.
const RATE: usize = 1000;

fn both_ways() -> [Config; 2] {
    [Config::server(), Config::server().delivery(Delivery::Chunked { whole: 0 })]
}

/// A message whose fragments have these payloads.
fn message(role: Role, opcode: u8, parts: &[&str]) -> Vec<u8> {
    let last = parts.len() - 1;
    let first = |n| if n == 0 { opcode } else { CONTINUATION } | if n == last { FIN } else { 0 };
    parts.iter().enumerate().flat_map(|(n, part)| frame_to(role, first(n), part.as_bytes())).collect()
}

/// The received messages, chunks joined.
#[derive(Default)]
struct Received {
    whole: Vec<String>,
    begun: String,
}

impl Received {
    fn record(&mut self, event: Event<'_>) {
        let (data, first, last) = match event {
            Event::Message(data) => (data, true, true),
            Event::Fragment(Fragment { data, first, last }) => (data, first, last),
            other => panic!("{other:?}"),
        };
        assert_eq!(first, self.begun.is_empty());
        self.begun += data.as_text().unwrap();
        if last {
            self.whole.push(std::mem::take(&mut self.begun));
        }
    }

    /// Passes bytes until the connection takes no more.
    fn give(&mut self, connection: &mut Connection, now: Moment, input: &mut &mut [u8]) {
        while let Some(event) = connection.handle_input(now, input) {
            self.record(event);
        }
    }
}

fn fault(connection: &mut Connection, now: Moment) -> Option<ProtocolError> {
    match end(connection, now).pop() {
        Some(Event::Closed(closed)) => match closed.error {
            Some(ws_proto::Error::Protocol(error)) => Some(error),
            _ => None,
        },
        other => panic!("{other:?}"),
    }
}

/// Python's `websockets` ends a message that comes from an iterable with an empty frame; others begin with one.
#[test]
fn in_a_message_with_content_the_first_and_the_last_frame_may_be_empty() {
    for role in ROLES {
        for config in both_ways() {
            let (mut connection, now) = open(role, config);
            for parts in [&["tick", ""][..], &["", "tick"], &["", "tick", ""], &["", "ti", "ck", ""]] {
                let mut bytes = message(role, TEXT, parts).repeat(5 * RATE);
                let (mut received, mut input) = (Received::default(), &mut bytes[..]);
                received.give(&mut connection, now, &mut input);
                assert!(input.is_empty() && !connection.is_paused(), "{parts:?}");
                assert_eq!(received.whole, vec!["tick"; 5 * RATE]);
            }
            assert_eq!(connection.poll_timeout(), Some(now + SECOND * 1800), "the heartbeat alone");
        }
    }
}

#[test]
fn other_empty_frames_count_and_exceeding_the_rate_fails() {
    for role in ROLES {
        for config in both_ways() {
            for (first, last) in [("", ""), ("a", ""), ("", "z"), ("a", "z")] {
                let (mut connection, now) = open(role, config.clone());
                let begin = message(role, TEXT, &[first, ""]).split_off(0);
                let begin = &begin[..begin.len() - frame_to(role, FIN, b"").len()];
                let end_of = frame_to(role, FIN | CONTINUATION, last.as_bytes());
                let empty = frame_to(role, CONTINUATION, b"");
                // As many as allowed, in this second and the next, in one message.
                feed(&mut connection, now, begin);
                feed(&mut connection, now, &empty.repeat(RATE));
                let later = now + SECOND;
                feed(&mut connection, later, &empty.repeat(RATE));
                assert_eq!((connection.state(), connection.is_paused()), (State::Open, false));
                let events = feed(&mut connection, later, &end_of);
                assert!(matches!(events[..], [Event::Message(_) | Event::Fragment(_)]), "{events:?}");
                // One more, in another message.
                feed(&mut connection, later, begin);
                feed(&mut connection, later, &empty);
                assert_eq!(close_code(&take_output(&mut connection, later)), Some(1008));
                assert_eq!(fault(&mut connection, later), Some(ProtocolError::Flood { limit: 1000 }));
            }
        }
    }
}

/// Empty messages, in one frame and in several.
const NOTHING: [&[&str]; 2] = [&[""], &["", ""]];

#[test]
fn empty_messages_over_the_rate_wait_for_the_next_second_in_order() {
    for role in ROLES {
        for config in both_ways() {
            for parts in NOTHING {
                let (mut connection, birth) = open(role, config.clone());
                let mut bytes = message(role, TEXT, parts).repeat(RATE + 1);
                bytes.extend(message(role, TEXT, &["x"]));
                bytes.extend(message(role, TEXT, parts).repeat(RATE));
                bytes.extend(message(role, TEXT, &["y"]));
                let (mut received, mut input) = (Received::default(), &mut bytes[..]);
                let mut now = birth + SECOND * 7 / 2;
                received.give(&mut connection, now, &mut input);
                assert_eq!(received.whole, vec![""; RATE]);
                for next in 1..=2 {
                    assert!(connection.is_paused() && connection.poll_io() == IoAction::Pause);
                    assert_eq!(connection.poll_timeout(), Some(birth + SECOND * (3 + next)));
                    connection.handle_timeout(now);
                    assert!(connection.is_paused(), "an early timer changes nothing");
                    now = birth + SECOND * (3 + next);
                    connection.handle_timeout(now);
                    assert!(!connection.is_paused());
                    received.give(&mut connection, now, &mut input);
                    assert_eq!(received.whole.len(), [RATE, 2 * RATE + 1, 2 * RATE + 3][next as usize]);
                }
                assert!(input.is_empty() && !connection.is_paused() && connection.poll_event(now).is_none());
                assert_eq!((&*received.whole[RATE + 1], &*received.whole[2 * RATE + 2]), ("x", "y"));
                assert_eq!(received.whole.iter().filter(|text| text.is_empty()).count(), 2 * RATE + 1);
            }
        }
    }
}

#[test]
fn empty_messages_at_the_rate_delay_nothing() {
    for role in ROLES {
        for config in both_ways() {
            for parts in NOTHING {
                let (mut connection, birth) = open(role, config.clone());
                for second in 0..5 {
                    let now = birth + SECOND * second;
                    assert_eq!(
                        feed(&mut connection, now, &message(role, TEXT, parts).repeat(RATE)).len(),
                        RATE
                    );
                    assert!(!connection.is_paused());
                    assert_eq!(feed(&mut connection, now, &message(role, BINARY, &["x"])).len(), 1);
                }
            }
        }
    }
}

#[test]
fn a_delayed_empty_message_is_delivered_without_further_input() {
    for role in ROLES {
        for config in both_ways() {
            for (parts, opcode) in [(NOTHING[0], TEXT), (NOTHING[1], TEXT), (NOTHING[0], BINARY)] {
                let (mut connection, now) = open(role, config.clone());
                let once = message(role, opcode, parts);
                let events = feed(&mut connection, now, &once.repeat(RATE + 1));
                assert_eq!(events.len(), RATE);
                let due = connection.poll_timeout().unwrap();
                assert_eq!(due, now + SECOND);
                connection.handle_timeout(due);
                // Without further input.
                assert_eq!(format!("{:?}", poll(&mut connection, due)), format!("{:?}", &events[..1]));
                assert!(connection.poll_timeout().unwrap() > due + SECOND);
                // It counts toward its new second.
                assert_eq!(feed(&mut connection, due, &once.repeat(RATE - 1)).len(), RATE - 1);
                assert!(!connection.is_paused());
                assert!(feed(&mut connection, due, &once).is_empty() && connection.is_paused());
            }
        }
    }
}

#[test]
fn a_delayed_empty_message_stays_in_order_for_every_cut() {
    for role in ROLES {
        for config in both_ways() {
            for parts in NOTHING {
                let once = message(role, TEXT, parts);
                let bytes = [once.repeat(3), message(role, TEXT, &["x", ""])].concat();
                for cut in 0..=bytes.len() {
                    let (mut connection, birth) = open(role, config.clone().frame_rate(Some(1)));
                    let mut received = Received::default();
                    let mut now = birth;
                    let mut bytes = bytes.clone();
                    let (front, back) = bytes.split_at_mut(cut);
                    for mut input in [front, back] {
                        received.give(&mut connection, now, &mut input);
                        while connection.is_paused() {
                            now = connection.poll_timeout().unwrap();
                            connection.handle_timeout(now);
                            received.give(&mut connection, now, &mut input);
                            std::iter::from_fn(|| connection.poll_event(now))
                                .for_each(|event| received.record(event));
                        }
                        assert!(input.is_empty());
                    }
                    assert_eq!(received.whole, ["", "", "", "x"], "cut at {cut}");
                    assert_eq!(now, birth + SECOND * 2);
                }
            }
        }
    }
}

#[test]
fn no_rate_is_no_limit_and_a_rate_of_zero_lets_one_pass() {
    for role in ROLES {
        for parts in NOTHING {
            let (mut connection, now) = open(role, Config::server().frame_rate(None));
            let once = message(role, TEXT, parts);
            assert_eq!(feed(&mut connection, now, &once.repeat(100 * RATE)).len(), 100 * RATE);
            let (mut connection, now) = open(role, Config::server().frame_rate(Some(0)));
            assert_eq!(feed(&mut connection, now, &once).len(), 1);
            assert!(!connection.is_paused());
            assert!(feed(&mut connection, now, &once).is_empty() && connection.is_paused());
        }
    }
}

#[test]
fn an_unreachable_rate_is_no_limit() {
    let most = usize::from(u16::MAX) - 1;
    let once = message(Role::Server, TEXT, &[""]);
    for limit in [most, most + 1, u32::MAX as usize] {
        let is_limit = limit == most;
        let (mut server, now) = open(Role::Server, Config::server().frame_rate(Some(limit as u32)));
        assert_eq!(feed(&mut server, now, &once.repeat(most)).len(), most);
        assert_eq!(feed(&mut server, now, &once.repeat(2)).len(), if is_limit { 0 } else { 2 });
        assert_eq!(server.is_paused(), is_limit);
        let (mut server, now) = open(Role::Server, Config::server().frame_rate(Some(limit as u32)));
        feed(&mut server, now, &frame(true, FIN | PONG, b"").repeat(most));
        assert_eq!(server.state(), State::Open);
        feed(&mut server, now, &frame(true, FIN | PONG, b"").repeat(2));
        assert_eq!(server.state() == State::Open, !is_limit);
    }
}

#[test]
fn a_peer_with_delayed_messages_is_not_considered_dead() {
    let heartbeat = Heartbeat::frequent().idle(SECOND / 10).pong_timeout(SECOND / 10);
    let (mut server, birth) = open(Role::Server, Config::server().heartbeat(heartbeat));
    let once = message(Role::Server, TEXT, &[""]);
    assert_eq!(feed(&mut server, birth, &once.repeat(RATE + 1)).len(), RATE);
    let mut wakes = 0;
    while let Some(due) = server.poll_timeout().filter(|due| *due <= birth + SECOND) {
        server.handle_timeout(due);
        take_output(&mut server, due);
        assert_eq!(server.state(), State::Open, "after {:?}", due - birth);
        wakes += 1;
    }
    assert!(!server.is_paused() && wakes <= 3, "{wakes} wakes");
    let now = birth + SECOND;
    assert_eq!(poll(&mut server, now).len(), 1);
    server.handle_timeout(now + SECOND / 10);
    assert_eq!(server.state(), State::Closed, "silent once read again");
}

#[test]
fn our_close_delivers_delayed_messages_and_their_successors() {
    for parts in NOTHING {
        let (mut server, now) = open(Role::Server, Config::server());
        let once = message(Role::Server, TEXT, parts);
        assert_eq!(feed(&mut server, now, &once.repeat(RATE + 1)).len(), RATE);
        server.close(now, CloseCode::NORMAL, "").unwrap();
        let rest = [once.repeat(RATE), message(Role::Server, TEXT, &["last"])].concat();
        let events = feed(&mut server, now, &rest);
        assert_eq!(events.len(), RATE + 2);
        let Some(Event::Message(Message::Text(last))) = events.last() else { panic!("{events:?}") };
        assert_eq!(last, "last");
    }
}

#[test]
fn eof_comes_after_delayed_messages() {
    for parts in NOTHING {
        for closes in [false, true] {
            let (mut server, now) = open(Role::Server, Config::server());
            let once = message(Role::Server, TEXT, parts);
            assert_eq!(feed(&mut server, now, &once.repeat(RATE + 1)).len(), RATE);
            server.handle_eof(now);
            assert!(poll(&mut server, now).is_empty() && server.state() == State::Open);
            let due = server.poll_timeout().unwrap();
            if closes {
                server.close(now, CloseCode::NORMAL, "").unwrap();
            } else {
                server.handle_timeout(due);
            }
            let events = poll(&mut server, due);
            assert!(matches!(&events[..], [Event::Message(_), Event::Closed(_)]), "{events:?}");
            assert_eq!((server.state(), server.poll_io()), (State::Closed, IoAction::Drop));
        }
    }
}

/// Frames may arrive with the request, and stay in the input until the upgrade is accepted.
#[test]
fn messages_received_before_open_are_delayed_in_order_too() {
    for parts in NOTHING {
        let now = Moment::default();
        let mut server =
            Connection::server(now, Arc::new(Config::server().frame_rate(Some(2))), Default::default());
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let x = message(Role::Server, TEXT, &["x"]);
        let frames = [message(Role::Server, TEXT, parts).repeat(5), x].concat();
        let mut bytes = [request.as_bytes(), &frames].concat();
        let mut input = &mut bytes[..];
        let Some(Event::Upgrade(upgrade)) = server.handle_input(now, &mut input) else {
            panic!("no upgrade")
        };
        server.accept(now, upgrade).unwrap();
        let (mut received, mut time) = (Received::default(), now);
        for seconds in 0..3 {
            assert_eq!(time, now + SECOND * seconds);
            while let Some(event) = server.poll_event(time).or_else(|| server.handle_input(time, &mut input))
            {
                if !matches!(event, Event::Open(_)) {
                    received.record(event);
                }
            }
            take_output(&mut server, time);
            if seconds < 2 {
                time = server.poll_timeout().unwrap();
                server.handle_timeout(time);
            }
        }
        assert_eq!(received.whole, ["", "", "", "", "", "x"]);
        assert!(input.is_empty() && !server.is_paused());
    }
}

#[test]
fn a_failure_while_delayed_does_not_wait_for_a_received_eof() {
    let (mut server, now) = open(Role::Server, Config::server().outbox(0, 0, 0));
    feed(&mut server, now, &message(Role::Server, TEXT, &[""]).repeat(RATE + 1));
    server.send("never taken").unwrap();
    server.handle_written(now, 1);
    server.handle_eof(now);
    server.handle_timeout(now + SECOND * 30);
    assert_eq!(server.state(), State::Closed);
}

#[test]
fn an_application_pause_outlasts_the_second() {
    let (mut server, now) = open(Role::Server, Config::server());
    let once = message(Role::Server, TEXT, &[""]);
    feed(&mut server, now, &once.repeat(RATE + 1));
    server.pause();
    let due = server.poll_timeout().unwrap();
    server.handle_timeout(due);
    assert!(server.is_paused() && poll(&mut server, due).is_empty());
    server.resume(due);
    assert_eq!(poll(&mut server, due).len(), 1);
}

#[test]
fn control_frames_and_empty_messages_are_counted_separately() {
    let (mut server, now) = open(Role::Server, Config::server());
    let both = [message(Role::Server, TEXT, &[""]), frame(true, FIN | PONG, b"")].concat();
    assert_eq!(feed(&mut server, now, &both.repeat(RATE)).len(), RATE);
    assert_eq!((server.state(), server.is_paused()), (State::Open, false));
    feed(&mut server, now, &frame(true, FIN | PONG, b""));
    assert_eq!(close_code(&take_output(&mut server, now)), Some(1008));
}

#[test]
fn counts_do_not_carry_over_to_a_later_second() {
    // A 16-bit count of seconds would wrap around here.
    let around = SECOND * (1 << 16);
    let (mut server, now) =
        open(Role::Server, Config::server().heartbeat(Heartbeat::off()).message_rate(Some(3)));
    assert_eq!(feed(&mut server, now, &message(Role::Server, TEXT, &["x"]).repeat(2)).len(), 2);
    let later = now + around;
    assert_eq!(feed(&mut server, later, &message(Role::Server, TEXT, &["x"]).repeat(2)).len(), 2);
    assert!(!server.is_paused());
    let (mut server, now) = open(Role::Server, Config::server());
    feed(&mut server, now, &frame(true, FIN | PONG, b"").repeat(RATE));
    feed(&mut server, now + around, &frame(true, FIN | PONG, b"").repeat(RATE));
    assert_eq!(server.state(), State::Open);
}
